//! Vault's API, spoken by a small server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cullet_secrets::{Login, Provider as _, SecretError, SecretValue, Vault, VaultOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The value that must be in no text.
const CANARY: &str = "canary-value-0123456789";

/// Head and body of a request, to status, further headers and body.
type Answer = dyn Fn(&str, usize) -> (u16, String, String) + Send + Sync;

struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets each request and how many there were before.
    async fn start(answer: impl Fn(&str, usize) -> (u16, String, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let (answer, seen): (Arc<Answer>, _) = (Arc::new(answer), Arc::clone(&requests));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    fn vault(&self, change: impl FnOnce(&mut VaultOptions)) -> Vault {
        let token = SecretValue::new(b"hvs.token\n".to_vec()).unwrap();
        let mut options = VaultOptions {
            address: self.address.clone(),
            namespace: None,
            mount: "secret".to_owned(),
            version: 2,
            login: Login::Token(token),
            authorities: Vec::new(),
            timeout: Duration::from_secs(5),
            retries: 2,
            pause: Duration::from_millis(5),
        };
        change(&mut options);
        Vault::new(options).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, answer: Arc<Answer>, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() < length.map_or(0, |length| length.parse().unwrap()) {
            continue;
        }
        let before = {
            let mut seen = seen.lock().unwrap();
            seen.push(text.clone());
            seen.len() - 1
        };
        let (status, headers, body) = answer(&text, before);
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        return;
    }
}

fn ok(body: String) -> (u16, String, String) {
    (200, String::new(), body)
}

fn refusal(status: u16, why: &str) -> (u16, String, String) {
    (status, String::new(), format!("{{\"errors\":[\"{why}\"]}}"))
}

/// What is said, which has nothing of the value nor of the token in it.
fn said(error: &SecretError) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("canary") && !text.contains("hvs."), "{text}");
    error.to_string()
}

#[tokio::test]
async fn both_versions_of_the_engine_give_a_field() {
    let server = Server::start(|request, _| {
        if request.starts_with("GET /v1/kv/old%20app ") {
            return ok(format!(r#"{{"data":{{"value":"{CANARY}","other":"x"}}}}"#));
        }
        assert!(request.starts_with("GET /v1/secret/data/app/db "), "{request}");
        ok(format!(
            r#"{{"data":{{"data":{{"password":"{CANARY}","port":5432,"no":null}},"metadata":{{}}}}}}"#
        ))
    })
    .await;
    let vault = server.vault(|options| options.namespace = Some("team".to_owned()));
    assert_eq!(vault.get("app/db#password").await.unwrap().expose(), CANARY.as_bytes());
    assert_eq!(vault.get("/app/db/#port").await.unwrap().expose(), b"5432");
    let request = server.requests().remove(0);
    for header in ["x-vault-token: hvs.token\r\n", "x-vault-namespace: team\r\n", "x-vault-request: true\r\n"]
    {
        assert!(request.contains(header), "{request}");
    }
    let text = said(&vault.get("app/db").await.unwrap_err());
    assert!(text.ends_with("has several fields, `no`, `password`, `port`: name one as PATH#FIELD"), "{text}");
    let text = said(&vault.get("app/db#user").await.unwrap_err());
    assert!(text.ends_with("has no field `user`; it has `no`, `password`, `port`"), "{text}");
    assert!(said(&vault.get("app/db#no").await.unwrap_err()).ends_with("has no value in its field `no`"));
    let old = server.vault(|options| (options.version, options.mount) = (1, "kv".to_owned()));
    assert_eq!(old.get("old app").await.unwrap().expose(), CANARY.as_bytes());
    for strange in ["", "#x", "a/../b", "a//b", "a/\n"] {
        assert!(said(&vault.get(strange).await.unwrap_err()).contains("is no key for Vault"), "{strange}");
    }
    let shown = format!("{vault:?}");
    assert!(!shown.contains("hvs."), "{shown}");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_said_at_once() {
    let server = Server::start(|request, before| {
        let path = request.split(' ').nth(1).unwrap();
        match path.rsplit('/').next().unwrap() {
            "busy" if before < 2 => refusal(503, "Vault is sealed"),
            "busy" => ok(format!(r#"{{"data":{{"data":{{"a":"{CANARY}"}}}}}}"#)),
            "sealed" => refusal(503, "Vault is sealed"),
            "denied" => refusal(403, "permission denied"),
            "gone" => {
                (404, String::new(), r#"{"data":{"data":null,"metadata":{"deletion_time":"x"}}}"#.to_owned())
            }
            "moved" => (307, "location: http://127.0.0.1:1/elsewhere\r\n".to_owned(), String::new()),
            "huge" => ok("x".repeat(3 << 20)),
            "deleted" => ok(r#"{"data":{"data":null}}"#.to_owned()),
            "html" => ok(format!("<html>{CANARY}")),
            other => panic!("{other}"),
        }
    })
    .await;
    let vault = server.vault(|_| ());
    assert_eq!(vault.get("busy").await.unwrap().expose(), CANARY.as_bytes());
    assert_eq!(server.requests().len(), 3);
    for (key, words, requests, permanent) in [
        ("sealed", "answers 503 Service Unavailable (Vault is sealed)", 3, false),
        ("denied", "the token may not read secret/data/denied of http://127.0.0.1:", 1, true),
        ("gone", "there is nothing at secret/data/gone", 1, true),
        ("moved", "a token is sent to no other address", 1, true),
        ("huge", "its answer has more than 2097152 bytes", 3, false),
        ("deleted", "has no fields", 1, true),
        ("html", "is no JSON", 1, true),
    ] {
        let before = server.requests().len();
        let error = vault.get(key).await.unwrap_err();
        let text = said(&error);
        assert!(text.contains(words), "{key}: {text}");
        assert_eq!((server.requests().len() - before, error.is_permanent()), (requests, permanent), "{key}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server =
        Server { address: format!("http://{}", listener.local_addr().unwrap()), requests: Arc::default() };
    let clock = Instant::now();
    let vault = server.vault(|options| options.timeout = Duration::from_millis(100));
    let error = vault.get("a").await.unwrap_err();
    assert!(!error.is_permanent() && said(&error).contains("secret/data/a"), "{error}");
    drop(listener);
    let error = vault.get("a").await.unwrap_err();
    assert!(!error.is_permanent() && said(&error).contains("cannot be asked"), "{error}");
    assert!(clock.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_application_logs_in_once_and_again_when_its_login_is_over() {
    let server = Server::start(|request, before| {
        if request.starts_with("POST /v1/auth/approle/login ") {
            assert!(request.ends_with(r#"{"role_id":"role","secret_id":"sid-canary"}"#), "{request}");
            assert!(!request.contains("x-vault-token"));
            return ok(format!(r#"{{"auth":{{"client_token":"hvs.{before}","lease_duration":1}}}}"#));
        }
        // The first login is over after one read.
        match before {
            3 => refusal(403, "permission denied"),
            _ => ok(format!(r#"{{"data":{{"data":{{"a":"{CANARY}"}}}}}}"#)),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let secret_file = dir.path().join("secret-id");
    std::fs::write(&secret_file, "sid-canary\n").unwrap();
    let (mount, role) = ("approle".to_owned(), "role".to_owned());
    let vault = server.vault(|options| options.login = Login::AppRole { mount, role, secret_file });
    for _ in 0..3 {
        assert_eq!(vault.get("a").await.unwrap().expose(), CANARY.as_bytes());
    }
    let requests = server.requests();
    let lines: Vec<&str> = requests.iter().map(|request| &request[..4]).collect();
    assert_eq!(lines, ["POST", "GET ", "GET ", "GET ", "POST", "GET "]);
    assert!(requests[5].contains("x-vault-token: hvs.4\r\n"));
}
