//! How users get the operator into a cluster, and applications into the operator: charts and kustomizations.

mod controller_chart;
mod experiments;
mod generated;
mod kustomize;
mod lifecycle;
mod operating;
mod release_chart;
mod tutorials;
