//! What an operator says over HTTP.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{SOON, Test};

/// Where an operator listens.
#[derive(Clone, Debug)]
pub struct Pages {
    address: String,
}

impl Pages {
    /// Of the operator that was started last, with `--listen=127.0.0.1:0`.
    #[track_caller]
    pub fn of(test: &Test) -> Self {
        test.wait_until("the operator listens", SOON, || {
            let log = test.log();
            let begin = log.rfind("iter8 starts").unwrap_or(0);
            Self::in_log(&log[begin..]).ok_or(log)
        })
    }

    /// Of anybody who listens there.
    pub fn at(address: &str) -> Self {
        let address = address.to_owned();
        Self { address }
    }

    /// By what an operator has logged.
    pub fn in_log(log: &str) -> Option<Self> {
        let line = log.lines().find(|line| line.contains("health are served"))?;
        let (_, address) = line.split_once("address=")?;
        let address = address.trim().to_owned();
        Some(Self { address })
    }

    /// The same port by IPv4: of one that listens at every address.
    pub fn on_loopback(&self) -> Self {
        let (_, port) = self.address.rsplit_once(':').unwrap();
        let address = format!("127.0.0.1:{port}");
        Self { address }
    }

    /// Status code and text of a page.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        write!(connection, "GET {path} HTTP/1.0\r\nHost: iter8\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        (code, body.to_owned())
    }

    /// The metrics, line by line, without comments.
    #[track_caller]
    pub fn metrics(&self) -> Vec<String> {
        let (code, text) = self.get("/metrics");
        assert_eq!(code, 200, "{text}");
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(str::to_owned)
            .collect()
    }

    /// The value of a series, as `iter8_leader` or `iter8_objects{kind="Release",ready="true"}`; `None`: there is none.
    #[track_caller]
    pub fn value(&self, series: &str) -> Option<f64> {
        let metrics = self.metrics();
        let line = metrics
            .iter()
            .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        Some(line.rsplit(' ').next().unwrap().parse().unwrap())
    }
}
