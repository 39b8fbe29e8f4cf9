//! Targets on files of the machine, and on loop devices where it has them.
