use cullet_secrets::{Masker, Search, SecretValue};

use super::*;
use crate::Masks;

const VALUE: &str = "ghs_R7vQm2Zx9LkTn4WcYb8HsJd1F";

/// By a step that has succeeded and has one secret.
fn with_secret(reachable: bool) -> Leaving {
    let value = SecretValue::new(VALUE.as_bytes().to_vec()).unwrap();
    let search = Search::new([("TOKEN", &value)]).unwrap();
    let masks = Masks::default();
    masks.set(&Arc::new(Masker::new([&value]).unwrap()));
    Leaving { search: Some(Arc::new(search)), masks, ..left(reachable) }
}

type Writing = fn(&Path);

/// Whatever a step leaves that has the value, and where.
const LEFT: [(&str, Writing); 8] = [
    ("config/a.json", |upper| write(upper, &[("config/a.json", &format!("{{ \"auth\": \"{VALUE}\" }}"))])),
    ("a.b64", |upper| {
        // base64 of `x-access-token:` and the value, in lines.
        let text = "eC1hY2Nlc3MtdG9rZW46Z2hzX1I3dlFt\nMlp4OUxrVG40V2NZYjhIc0pkMUY=\n";
        write(upper, &[("a.b64", text)]);
    }),
    ("link", |upper| symlink(format!("x/{VALUE}"), upper.join("link")).unwrap()),
    ("d/***.txt", |upper| write(upper, &[(&format!("d/{VALUE}.txt"), "")])),
    ("d-***", |upper| fs::create_dir(upper.join(format!("d-{VALUE}"))).unwrap()),
    ("locked/f", |upper| {
        write(upper, &[("locked/f", VALUE)]);
        fs::set_permissions(upper.join("locked/f"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(upper.join("locked"), fs::Permissions::from_mode(0o0)).unwrap();
    }),
    ("sparse", |upper| {
        use std::os::unix::fs::FileExt as _;
        let file = fs::File::create(upper.join("sparse")).unwrap();
        file.write_all_at(VALUE.as_bytes(), 8 << 20).unwrap();
        file.set_len(16 << 20).unwrap();
    }),
    ("far", |upper| {
        let text = format!("{}{VALUE}", "x".repeat((256 << 10) - 5));
        write(upper, &[("far", &text)]);
        fs::hard_link(upper.join("far"), upper.join("far2")).unwrap();
        fs::remove_file(upper.join("far2")).unwrap();
    }),
];

#[tokio::test]
async fn what_has_a_secret_in_it_is_not_kept_and_that_is_told_once() {
    for reachable in [false, true] {
        for (place, writing) in LEFT {
            let fixture = Fixture::new();
            fixture.step("v", &[("a", "1")]);
            let (scratch, cancel) = (tempfile::tempdir().unwrap(), Default::default());
            for _ in 0..2 {
                let taken = fixture.volumes.take("s", &[wanted("v")], scratch.path(), &cancel).await.unwrap();
                let draft = taken.mounts()[0].draft.clone();
                write(&draft.join("upper"), &[("more", "2")]);
                writing(&draft.join("upper"));
                taken.end(with_secret(reachable)).await;
                assert!(!draft.exists());
            }
            let said = format!(
                "what it wrote to the cache 'v' is not kept: '{place}' has the value of the secret TOKEN in it"
            );
            assert_eq!(fixture.told(), said, "{reachable}");
            assert_eq!(seen(&fixture.copy("v").unwrap()), ["a=1"]);
        }
    }
}

#[tokio::test]
async fn what_has_none_is_kept_as_it_is() {
    for reachable in [false, true] {
        let fixture = Fixture::new();
        // Whoever wrote this did not know what is secret in the step.
        fixture.step("v", &[("old", VALUE)]);
        let (scratch, cancel) = (tempfile::tempdir().unwrap(), Default::default());
        let taken = fixture.volumes.take("s", &[wanted("v")], scratch.path(), &cancel).await.unwrap();
        let upper = taken.mounts()[0].draft.join("upper");
        write(&upper, &[("d/new", &VALUE[..VALUE.len() - 1])]);
        fs::set_permissions(upper.join("d/new"), fs::Permissions::from_mode(0o040)).unwrap();
        taken.end(with_secret(reachable)).await;
        let copy = fixture.copy("v").unwrap();
        let new = copy.layers().last().unwrap().join("d/new");
        assert_eq!(fs::metadata(&new).unwrap().permissions().mode() & 0o7777, 0o040, "{}", fixture.told());
        assert_eq!(fixture.told(), "");
    }
}
