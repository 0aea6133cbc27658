//! What the charts and kustomizations take from the code: written by `make generate`, compared by the tests.

mod values_schema;
