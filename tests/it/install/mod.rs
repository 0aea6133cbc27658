//! How users get the operator into a cluster, and applications into the operator: charts and kustomizations.

mod generated;
mod release_chart;
mod tutorials;
