//! The command line on good input: stable names in JSON, stable bytes in files.

mod catalogs;
mod estimates;
mod graphs;
mod help;
mod parallel;
mod sweeps;
mod techniques;
