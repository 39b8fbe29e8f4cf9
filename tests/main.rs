//! Scenario tests in one binary; each module is a theme, each test a claim about the program.
