//! What the charts and kustomizations take from the code: written by `make generate`, compared by the tests.

mod controller_chart;
mod values_schema;
