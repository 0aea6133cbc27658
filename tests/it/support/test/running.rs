//! The operator of a test begins and ends.

use std::time::Duration;

use super::Test;
use crate::support::operator::Operator;

impl Test {
    /// Starts the operator.
    #[track_caller]
    pub fn start(&self) {
        let mut operator = self.operator.lock().unwrap();
        assert!(operator.is_none(), "the operator runs already");
        let arguments = self.arguments.lock().unwrap();
        let (kubeconfig, namespace) = (&self.account.1, Some(&*self.namespace));
        *operator = Some(Operator::start_with(kubeconfig, namespace, &self.log, &arguments));
    }

    /// What the operator is started with besides, from the next start on.
    pub fn run_with<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) {
        *self.arguments.lock().unwrap() = arguments.into_iter().map(str::to_owned).collect();
    }

    /// Ends the operator as a crash would.
    #[track_caller]
    pub fn kill(&self) {
        self.take_operator().kill();
    }

    /// Asks the operator to end, and waits for it.
    #[track_caller]
    pub fn stop(&self) {
        self.take_operator().stop();
    }

    /// Asks the operator to end, and does not wait.
    #[track_caller]
    pub fn ask_to_stop(&self) {
        let operator = self.operator.lock().unwrap();
        operator.as_ref().expect("the operator does not run").ask_to_stop();
    }

    /// Sends the operator a signal, as `HUP`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let operator = self.operator.lock().unwrap();
        operator.as_ref().expect("the operator does not run").signal(signal);
    }

    /// Waits until the operator, which was asked to, has ended.
    #[track_caller]
    pub fn has_stopped(&self, within: Duration) {
        self.take_operator().has_stopped(within);
    }

    /// Whether an operator was started that has not ended.
    pub fn is_running(&self) -> bool {
        let mut operator = self.operator.lock().unwrap();
        operator
            .as_mut()
            .is_some_and(|operator| operator.exit_status().is_none())
    }

    /// How many TCP connections the operator holds.
    #[track_caller]
    pub fn connections(&self) -> usize {
        let operator = self.operator.lock().unwrap();
        operator.as_ref().expect("the operator does not run").connections()
    }

    /// How many of them Linux asks now and then whether the other end is still there.
    #[track_caller]
    pub fn connections_kept_alive(&self) -> usize {
        let operator = self.operator.lock().unwrap();
        let operator = operator.as_ref().expect("the operator does not run");
        operator.connections_kept_alive()
    }

    /// Stops the operator and starts it again.
    #[track_caller]
    pub fn restart(&self) {
        self.stop();
        self.start();
    }

    #[track_caller]
    fn take_operator(&self) -> Operator {
        self.operator.lock().unwrap().take().expect("the operator does not run")
    }
}
