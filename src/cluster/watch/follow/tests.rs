use super::*;
use crate::cluster::resource::Resource;
use crate::model::kind::Kind;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An API server on loopback that gives these answers (code, body), one for each request, and notes the requests.
async fn server(answers: Vec<(u16, String)>) -> (Follow, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let requests = Arc::clone(&asked);
    tokio::spawn(async move {
        for (code, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 8192];
            let length = stream.read(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]);
            let line = text.lines().next().unwrap().to_owned();
            requests.lock().unwrap().push(line);
            let head = format!(
                "HTTP/1.1 {code} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let client = crate::cluster::client::with(config, &crate::cluster::Metrics::new().unwrap(), None).unwrap();
    (
        Follow::new(client, Resource::from(Kind::Service).requests(None), false),
        asked,
    )
}

fn object(name: &str, version: u32) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"{version}"}}}}"#)
}

fn event(type_: &str, object: &str) -> String {
    format!("{{\"type\":\"{type_}\",\"object\":{object}}}\n")
}

fn list(items: &[String], version: u32) -> String {
    page(items, version, "")
}

fn page(items: &[String], version: u32, next: &str) -> String {
    let items = items.join(",");
    format!(r#"{{"metadata":{{"resourceVersion":"{version}","continue":"{next}"}},"items":[{items}]}}"#)
}

fn status(code: u16) -> String {
    format!(r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","code":{code}}}"#)
}

/// One step; what it brought, and whether it failed with which code.
async fn step(follow: &mut Follow) -> (String, Result<(), Option<u16>>) {
    let mut told = Vec::new();
    let result = follow
        .step(&mut |event| {
            told.push(match event {
                Event::Begin => "begin".to_owned(),
                Event::Listed(head) => head.place().1.to_owned(),
                Event::Apply(head) => format!("+{}", head.place().1),
                Event::Delete(head) => format!("-{}", head.place().1),
                Event::Unreadable => "unreadable".to_owned(),
                Event::Done(version) => format!("done@{version}"),
            });
        })
        .await;
    (told.join(" "), result.map_err(|failure| failure.code()))
}

#[tokio::test]
async fn everything_is_listed_at_once_as_it_is_now_and_watched_from_there() {
    let events = [event("MODIFIED", &object("a", 8)), event("DELETED", &object("a", 9))];
    let answers = vec![
        (200, list(&[object("a", 5), object("b", 6)], 7)),
        (200, events.concat()),
        (200, String::new()),
    ];
    let (mut follow, asked) = server(answers).await;
    assert_eq!(step(&mut follow).await, ("begin a b done@7 +a -a".to_owned(), Ok(())));
    assert_eq!(step(&mut follow).await, (String::new(), Ok(())));
    let asked = asked.lock().unwrap();
    assert!(
        !asked[0].contains("limit") && !asked[0].contains("resourceVersion"),
        "{asked:?}"
    );
    assert!(asked[1].ends_with("resourceVersion=7 HTTP/1.1"), "{asked:?}");
    assert!(asked[2].ends_with("resourceVersion=9 HTTP/1.1"), "{asked:?}");
}

#[tokio::test]
async fn a_list_that_the_server_fails_at_is_asked_for_in_pages_from_then_on() {
    let half = list(&[object("a", 5), object("b", 6)], 7);
    let half = half.split_at(half.len() - 9).0.to_owned();
    for (first, told, code) in [((504, status(504)), "begin", Some(504)), ((200, half), "begin a", None)] {
        let answers = vec![
            first,
            (200, page(&[object("a", 5)], 7, "more")),
            (200, page(&[object("b", 6)], 7, "")),
            (200, event("ADDED", &object("c", 8))),
            (410, status(410)),
            (200, list(&[], 9)),
            (200, String::new()),
        ];
        let (mut follow, asked) = server(answers).await;
        assert_eq!(step(&mut follow).await, (told.to_owned(), Err(code)));
        assert!(follow.asks_otherwise() && follow.watched_since().is_none());
        assert_eq!(step(&mut follow).await, ("begin a b done@7 +c".to_owned(), Ok(())));
        assert!(!follow.asks_otherwise() && follow.watched_since().is_some());
        assert_eq!(step(&mut follow).await, (String::new(), Err(Some(410))));
        assert!(!follow.asks_otherwise() && follow.watched_since().is_none());
        assert_eq!(step(&mut follow).await, ("begin done@9".to_owned(), Ok(())));
        let asked = asked.lock().unwrap();
        assert!(
            asked[1].contains("limit=100") && !asked[1].contains("resourceVersion"),
            "{asked:?}"
        );
        assert!(asked[2].contains("continue=more"), "{asked:?}");
        assert!(asked[3].ends_with("resourceVersion=7 HTTP/1.1"), "{asked:?}");
        assert!(asked[5].contains("limit"), "{asked:?}");
    }
}

#[tokio::test]
async fn pages_that_the_server_forgets_are_followed_by_the_list_as_a_whole() {
    let answers = vec![
        (504, status(504)),
        (200, page(&[object("a", 5)], 7, "more")),
        (410, status(410)),
        (200, list(&[object("a", 5)], 9)),
        (200, String::new()),
    ];
    let (mut follow, asked) = server(answers).await;
    assert_eq!(step(&mut follow).await, ("begin".to_owned(), Err(Some(504))));
    assert_eq!(step(&mut follow).await, ("begin a".to_owned(), Err(Some(410))));
    assert_eq!(step(&mut follow).await, ("begin a done@9".to_owned(), Ok(())));
    assert!(!asked.lock().unwrap()[3].contains("limit"));
}

#[tokio::test]
async fn a_list_is_not_done_while_what_comes_after_it_cannot_be_watched() {
    for (code, told) in [
        (403, "begin a done@7"),
        (404, "begin a done@7"),
        (410, "begin a done@7"),
        (503, "begin a done@7"),
        (429, "done@7"),
    ] {
        let mut answers = vec![(200, list(&[object("a", 5)], 7)), (code, status(code))];
        if code != 429 {
            answers.push((200, list(&[object("a", 5)], 7)));
        }
        answers.push((200, String::new()));
        let (mut follow, _) = server(answers).await;
        assert_eq!(step(&mut follow).await, ("begin a".to_owned(), Err(Some(code))));
        assert_eq!(step(&mut follow).await, (told.to_owned(), Ok(())));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_list_is_an_error() {
    for text in [r#"{"kind":"Status","metadata":{},"code":500}"#, "<html>", "[]"] {
        let (mut follow, _) = server(vec![(200, text.to_owned())]).await;
        assert_eq!(step(&mut follow).await, ("begin".to_owned(), Err(None)), "{text}");
    }
}

#[tokio::test]
async fn a_place_that_the_server_has_forgotten_is_listed_anew() {
    let gone = event("ERROR", &status(410));
    let answers = vec![
        (200, list(&[], 7)),
        (200, gone),
        (200, list(&[], 20)),
        (200, String::new()),
    ];
    let (mut follow, _) = server(answers).await;
    assert_eq!(step(&mut follow).await, ("begin done@7".to_owned(), Err(Some(410))));
    assert_eq!(step(&mut follow).await, ("begin done@20".to_owned(), Ok(())));
}

#[tokio::test]
async fn unreadable_text_in_a_watch_leads_to_a_new_list() {
    let answers = vec![
        (200, list(&[], 7)),
        (200, "{\"type\":\"ADDED\",\"object\"nonsense}\n".to_owned()),
        (200, list(&[], 9)),
        (200, String::new()),
    ];
    let (mut follow, _) = server(answers).await;
    assert_eq!(step(&mut follow).await, ("begin done@7".to_owned(), Err(None)));
    assert_eq!(step(&mut follow).await, ("begin done@9".to_owned(), Ok(())));
}

#[tokio::test]
async fn a_server_that_has_too_much_to_do_is_not_asked_for_a_list() {
    let answers = vec![
        (200, list(&[], 7)),
        (200, String::new()),
        (429, status(429)),
        (200, event("ADDED", &object("a", 8))),
    ];
    let (mut follow, asked) = server(answers).await;
    assert_eq!(step(&mut follow).await, ("begin done@7".to_owned(), Ok(())));
    assert_eq!(step(&mut follow).await, (String::new(), Err(Some(429))));
    assert_eq!(step(&mut follow).await, ("+a".to_owned(), Ok(())));
    assert!(asked.lock().unwrap()[3].ends_with("resourceVersion=7 HTTP/1.1"));
}

#[tokio::test]
async fn after_any_other_error_what_is_there_is_listed_anew() {
    let answers = vec![
        (200, list(&[], 7)),
        (503, status(503)),
        (200, list(&[], 5)),
        (200, String::new()),
    ];
    let (mut follow, _) = server(answers).await;
    assert_eq!(step(&mut follow).await, ("begin".to_owned(), Err(Some(503))));
    assert_eq!(step(&mut follow).await, ("begin done@5".to_owned(), Ok(())));
}

#[tokio::test]
async fn a_watch_that_ends_within_an_event_goes_on_before_that_event() {
    let whole = event("ADDED", &object("a", 8));
    let half = whole.split_at(whole.len() / 2).0.to_owned();
    let (mut follow, asked) = server(vec![(200, list(&[], 7)), (200, half), (200, whole)]).await;
    assert_eq!(step(&mut follow).await, ("begin done@7".to_owned(), Ok(())));
    assert_eq!(step(&mut follow).await, ("+a".to_owned(), Ok(())));
    assert!(asked.lock().unwrap()[2].ends_with("resourceVersion=7 HTTP/1.1"));
}

#[tokio::test]
async fn an_object_that_says_nothing_of_itself_is_passed_over() {
    let events = [
        event("MODIFIED", "{}"),
        event("MODIFIED", &object("a", 8)),
        event("DELETED", "{}"),
    ];
    let answers = vec![
        (200, list(&["{}".to_owned(), object("b", 6)], 7)),
        (200, events.concat()),
        (200, String::new()),
    ];
    let (mut follow, asked) = server(answers).await;
    let told = "begin unreadable b done@7 unreadable +a unreadable".to_owned();
    assert_eq!(step(&mut follow).await, (told, Ok(())));
    assert_eq!(step(&mut follow).await, (String::new(), Ok(())));
    assert!(asked.lock().unwrap()[2].ends_with("resourceVersion=8 HTTP/1.1"));
}
