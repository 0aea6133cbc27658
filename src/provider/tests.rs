use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::*;
use crate::api::metric::Method;

/// A server, and a provider that may ask it.
struct Served {
    address: String,
    provider: Provider,
    requests: Arc<AtomicUsize>,
}

/// Serves answers of this function until the test ends.
async fn serve<F, A>(answer: F) -> Served
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (answer, count) = (answer.clone(), Arc::clone(&count));
            let service = service_fn(move |request| {
                count.fetch_add(1, Ordering::Relaxed);
                let answer = answer(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    let provider = Provider::new(Settings {
        prometheus: Some(address.clone()),
        allowed_hosts: vec!["127.0.0.1".to_owned()],
    });
    Served {
        address,
        provider: provider.unwrap(),
        requests,
    }
}

/// Serves one answer, always.
async fn serve_always(status: u16, body: &'static str) -> Served {
    serve(move |_| async move { response(status, body) }).await
}

fn response(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.into())).unwrap()
}

const ONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]}]}}"#;

impl Served {
    fn query(&self, path: &str) -> Query {
        Query {
            method: Method::Get,
            url: format!("{}{path}", self.address),
            headers: vec![],
            body: None,
            reader: Reader::Prometheus,
        }
    }

    async fn ask(&self, query: &Query) -> Sample {
        self.provider.ask(query, Duration::ZERO).await
    }

    /// The reason why there is no telling.
    async fn failure(&self, query: &Query) -> String {
        match self.ask(query).await {
            Sample::Error(reason) => reason,
            other => panic!("{other:?}"),
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The same with another time limit.
    fn within(mut self, timeout: Duration) -> Self {
        Arc::get_mut(&mut self.provider.asking).unwrap().timeout = timeout;
        self
    }
}

#[tokio::test]
async fn the_number_is_asked_for_and_read() {
    let served = serve_always(200, ONE).await;
    assert_eq!(served.ask(&served.query("/api/v1/query")).await, Sample::Value(1.0));
    assert_eq!(served.provider.prometheus(), Some(served.address.as_str()));
}

#[tokio::test]
async fn method_path_headers_and_body_are_sent_as_they_are() {
    let echo = |request: Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        let header = |name: &str| {
            head.headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
        };
        let text = format!(
            "{} {} {:?} {:?} {}",
            head.method,
            head.uri,
            header("x-key"),
            header("user-agent"),
            String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes())
        );
        response(400, text)
    };
    let served = serve(echo).await;
    let agent = concat!("iter8/", env!("CARGO_PKG_VERSION"));
    let get = served.failure(&served.query("/a?b=c+d%26")).await;
    assert!(
        get.ends_with(&format!("GET /a?b=c+d%26 None Some(\"{agent}\")")),
        "{get}"
    );
    let query = Query {
        method: Method::Post,
        headers: vec![
            ("X-Key".to_owned(), "é k".to_owned()),
            ("User-Agent".to_owned(), "mine".to_owned()),
        ],
        body: Some("{\"a\":1}".to_owned()),
        ..served.query("/")
    };
    let post = served.failure(&query).await;
    assert!(
        post.ends_with("POST / Some(\"é k\") Some(\"mine\") {\"a\":1}"),
        "{post}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let served = serve(|request: Request<Incoming>| async move {
        if request.uri().path() == "/there" {
            return response(200, ONE);
        }
        let mut answer = response(302, "");
        answer.headers_mut().insert("location", "/there".parse().unwrap());
        answer
    })
    .await;
    assert_eq!(served.ask(&served.query("/there")).await, Sample::Value(1.0));
    let reason = served.failure(&served.query("/here")).await;
    assert!(reason.contains("302 Found, and redirects are not followed"), "{reason}");
    assert_eq!(served.requests(), 2);
}

#[tokio::test]
async fn a_status_that_is_none_of_success_is_told_with_its_reason() {
    let table = [
        (
            400,
            r#"{"status":"error","errorType":"bad_data","error":"parse error at char 3"}"#,
            "400 Bad Request: parse error at char 3",
        ),
        (503, "", "503 Service Unavailable"),
        (500, " line\nline\n", "500 Internal Server Error: line line"),
        (404, "{\"error\":1}", "404 Not Found: {\"error\":1}"),
    ];
    for (status, body, want) in table {
        let served = serve_always(status, body).await;
        let reason = served.failure(&served.query("/")).await;
        let host = served.address.trim_start_matches("http://");
        assert_eq!(reason, format!("{host}: the answer is {want}"));
    }
}

#[tokio::test]
async fn a_long_refusal_is_told_in_short() {
    let served = serve(|_| async { response(500, "x".repeat(100_000)) }).await;
    let reason = served.failure(&served.query("/")).await;
    assert!(reason.ends_with("xxx…") && reason.len() < 400, "{reason}");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let padded = |size: usize| format!("{ONE}{}", " ".repeat(size - ONE.len()));
    let served = serve(move |request: Request<Incoming>| async move {
        let more = usize::from(request.uri().path() == "/more");
        response(200, padded(http::MAX_ANSWER + more))
    })
    .await;
    assert_eq!(served.ask(&served.query("/all")).await, Sample::Value(1.0));
    let reason = served.failure(&served.query("/more")).await;
    assert!(reason.contains("more than 1024 KiB"), "{reason}");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_given_up() {
    let served = serve(|_| std::future::pending())
        .await
        .within(Duration::from_millis(30));
    let reason = served.failure(&served.query("/")).await;
    assert!(reason.ends_with("did not answer within 30ms"), "{reason}");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let provider = Provider::new(Settings {
        prometheus: None,
        allowed_hosts: vec!["127.0.0.1".to_owned()],
    })
    .unwrap();
    let query = Query {
        method: Method::Get,
        url: format!("http://{host}/"),
        headers: vec![],
        body: None,
        reader: Reader::Prometheus,
    };
    let sample = provider.ask(&query, Duration::ZERO).await;
    let Sample::Error(reason) = sample else {
        panic!("{sample:?}")
    };
    assert!(reason.starts_with(&host) && reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_not_asked() {
    let served = serve_always(200, ONE).await;
    let other = Query {
        url: served.address.replace("127.0.0.1", "localhost"),
        ..served.query("")
    };
    let reason = served.failure(&other).await;
    assert!(
        reason.starts_with("host localhost:") && reason.contains("not among the hosts"),
        "{reason}"
    );
    assert_eq!(served.requests(), 0);
}

#[tokio::test]
async fn equal_queries_at_once_are_one_request() {
    let go = Arc::new(Notify::new());
    let held = Arc::clone(&go);
    let served = serve(move |_| {
        let held = Arc::clone(&held);
        async move {
            held.notified().await;
            response(200, ONE)
        }
    })
    .await;
    let (query, same) = (served.query("/"), served.query("/"));
    let (first, second, ()) = tokio::join!(served.ask(&query), served.ask(&same), async { go.notify_one() });
    assert_eq!((first, second), (Sample::Value(1.0), Sample::Value(1.0)));
    assert_eq!(served.requests(), 1);
}

#[tokio::test]
async fn an_answer_is_used_again_if_it_is_new_enough() {
    let served = serve_always(200, ONE).await;
    let (query, hour) = (served.query("/"), Duration::from_hours(1));
    for (max_age, requests) in [(hour, 1), (hour, 1), (Duration::ZERO, 2), (hour, 2)] {
        assert_eq!(served.provider.ask(&query, max_age).await, Sample::Value(1.0));
        assert_eq!(served.requests(), requests);
    }
}

#[tokio::test]
async fn no_more_queries_are_on_their_way_than_there_are_places() {
    let (there, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (arrives, held) = (Arc::clone(&there), Arc::clone(&go));
    let served = serve(move |_| {
        let (arrives, held) = (Arc::clone(&arrives), Arc::clone(&held));
        async move {
            arrives.add_permits(1);
            held.acquire().await.unwrap().forget();
            response(200, ONE)
        }
    })
    .await;
    let queries: Vec<Query> = (0..=AT_ONCE).map(|index| served.query(&format!("/{index}"))).collect();
    let all = futures::future::join_all(queries.iter().map(|query| served.ask(query)));
    let watch = async {
        let most = u32::try_from(AT_ONCE).unwrap();
        there.acquire_many(most).await.unwrap().forget();
        assert_eq!(served.provider.asking.places.available_permits(), 0);
        assert_eq!(served.requests(), AT_ONCE);
        go.add_permits(1);
        there.acquire().await.unwrap().forget();
        go.add_permits(AT_ONCE);
    };
    let (samples, ()) = tokio::join!(all, watch);
    assert!(samples.iter().all(|sample| *sample == Sample::Value(1.0)));
}

#[test]
fn what_makes_queries_different_is_told_apart() {
    let base = Query {
        method: Method::Get,
        url: "http://h/".to_owned(),
        headers: vec![("a".to_owned(), "b".to_owned())],
        body: None,
        reader: Reader::Prometheus,
    };
    let others = [
        Query {
            method: Method::Post,
            ..base.clone()
        },
        Query {
            url: "http://h/2".to_owned(),
            ..base.clone()
        },
        Query {
            headers: vec![("ab".to_owned(), String::new())],
            ..base.clone()
        },
        Query {
            body: Some(String::new()),
            ..base.clone()
        },
        Query {
            reader: Reader::Jq(String::new()),
            ..base.clone()
        },
    ];
    assert!(Key::of(&base) == Key::of(&base.clone()));
    for other in others {
        assert!(Key::of(&base) != Key::of(&other), "{other:?}");
    }
}
