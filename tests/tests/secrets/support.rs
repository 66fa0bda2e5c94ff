//! Values that are looked for everywhere, and a server that has one.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// In all of them; nothing else has it.
pub(crate) const MARK: &str = "cnry";

/// Makes a value one whose encodings have several lines, as tokens have that are made for a few minutes.
const LONG: &str = "R7vQm2Zx9LkTn4WcYb8HsJd1FgUoPe6AiBq3XtCyVw5KjMrSaNhGzEfDlIuOx0PvQ7mZ2xL9kT4nWcY8bHs1JdF";

/// One for each place.
pub(crate) fn value(place: &str) -> String {
    let more = if place == "file" { LONG } else { "" };
    format!("{MARK}/{place}+0123456789=&\"x'{place}{more}")
}

/// Prints every secret in every form, in pieces as well.
pub(crate) const LEAK: &str = r#"
      for f in /run/secrets/*; do
        cat $f; echo
        head -c 9 $f; sleep 0.05; tail -c +10 $f >&1; echo
        base64 -w0 $f; echo; printf 'u:%s' "$(cat $f)" | base64 -w0; echo; printf 'a%s' "$(cat $f)" | base64 -w 76
        od -An -v -tx1 $f | tr -d ' \n'; echo; od -An -v -tx1 $f | tr -d ' \n' | tr a-f A-F; echo
        sed 's/%/%25/g; s#/#%2F#g; s/+/%2B/g; s/=/%3D/g; s/&/%26/g; s/"/%22/g' $f; echo
        sed 's/\\/\\\\/g; s/"/\\"/g' $f >&2; echo >&2
        base64 $f; printf 'x-access-token:%s' "$(cat $f)" | base64; echo "x$(cat $f)" | base64 -w 64 | sed 's/$/\r/'
        printf 'a: %s\n' "$(cat $f)" | base64 | sed 's/^/      /'; od -An -v -tx1 $f | tr -d ' \n' | fold -w 60; echo
      done
      env | grep EXPOSED; set -x; : "$EXPOSED"; set +x
"#;

/// The forms of all values, as short as they can be and still be nothing else.
fn forms(places: &[&str]) -> AhoCorasick {
    let mut forms = vec![format!("{MARK}/").into_bytes(), format!("{MARK}%2F").into_bytes()];
    let hex: String = format!("{MARK}/").bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes()]);
    for place in places {
        for before in 0..3 {
            let text = STANDARD_NO_PAD.encode([vec![0; before], value(place).into_bytes()].concat());
            // Four characters that have only bits of the value, and the twelve behind them.
            forms.push(text.as_bytes()[4..20].to_vec());
            // Of a line in the middle.
            forms.extend(text.as_bytes()[4..text.len() - 4].chunks_exact(12).map(<[u8]>::to_vec));
        }
        let hex: String = value(place).bytes().map(|byte| format!("{byte:02x}")).collect();
        forms.extend(hex.as_bytes()[10..].chunks_exact(16).map(<[u8]>::to_vec));
        forms.extend(value(place).as_bytes()[5..].chunks_exact(12).map(<[u8]>::to_vec));
    }
    AhoCorasick::new(forms).unwrap()
}

/// Fails where a form of a value is in a file below, or in its name; `except` are names of files that have one.
pub(crate) fn assert_clean(dir: &Path, places: &[&str], except: &[&str]) {
    let forms = forms(places);
    let (mut pending, mut files) = (vec![dir.to_owned()], 0);
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().as_bytes().to_owned();
            if except.iter().any(|except| except.as_bytes() == name) {
                continue;
            }
            let Ok(found) = path.symlink_metadata() else { continue };
            let mut bytes = name;
            if found.is_dir() {
                pending.push(path.clone());
            } else if found.is_file() {
                files += 1;
                bytes.extend(std::fs::read(&path).unwrap_or_default());
            }
            assert_free(&bytes, &forms, &path.display().to_string());
        }
    }
    assert!(files > 3, "there is little in {}", dir.display());
}

/// The same for a text.
pub(crate) fn assert_clean_text(text: &str, places: &[&str]) {
    assert_free(text.as_bytes(), &forms(places), text);
}

fn assert_free(bytes: &[u8], forms: &AhoCorasick, place: &str) {
    if let Some(found) = forms.find(bytes) {
        let around = &bytes[found.start().saturating_sub(80)..bytes.len().min(found.end() + 80)];
        panic!("a value is in {place}: {}", String::from_utf8_lossy(around));
    }
}

/// Serves one value as Vault does, at `secret/data/app`, to whoever has the token `hvs.cnry/token`. Gives its address.
pub(crate) fn vault(value: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request);
            let allowed = request.contains("x-vault-token: hvs.cnry/token\r\n");
            let known = request.starts_with("GET /v1/secret/data/app ");
            let data = serde_json::json!({ "data": { "data": { "token": value } } }).to_string();
            let (status, body) = match (allowed, known) {
                (false, _) => (403, r#"{"errors":["permission denied"]}"#.to_owned()),
                (_, false) => (404, r#"{"errors":[]}"#.to_owned()),
                _ => (200, data),
            };
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    address
}

/// Configures that server, in a file beside the pipeline.
pub(crate) fn config(address: &str) -> String {
    format!(
        "[secrets.providers.vault]\nkind = \"vault\"\naddress = \"{address}\"\ntoken-file = \"vault-token\"\n"
    )
}

/// What [`config`] names.
pub(crate) const TOKEN: &str = "hvs.cnry/token\n";
