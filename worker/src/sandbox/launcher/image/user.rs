//! `USER` of an image: who that is.
//!
//! Source: the image-spec's `config.md` ("User"), and what container engines make of it: names are those of the image's
//! `/etc/passwd` and `/etc/group`, numbers need not be there.

use serde::{Deserialize, Serialize};

use super::super::super::fault::Fault;
use crate::image_root::IMAGE_IDS;

/// `USER[:GROUP]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    user: Name,
    group: Option<Name>,
}

/// A name or a number.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    Id(u32),
    Text(String),
}

/// Who a step runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Further groups.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

impl Account {
    pub(super) fn ids(&self) -> (u32, u32) {
        (self.uid, self.gid)
    }
}

impl Name {
    /// Root is 0, in an image without `/etc/passwd` as well.
    fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text == "root" {
            return Ok(Self::Id(0));
        }
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Text(text.to_owned()));
        }
        match text.parse() {
            Ok(id) if id < IMAGE_IDS => Ok(Self::Id(id)),
            _ => Err(Fault::new(
                format!("be user or group {text}: an image has those from 0 to 65535"),
                libc::EINVAL,
            )),
        }
    }

    fn id(&self) -> Option<u32> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Text(_) => None,
        }
    }

    /// Whether a line that begins with a name, a password and a number is about this one.
    fn is_meant(&self, fields: &[&str]) -> bool {
        match self {
            Self::Id(id) => number(fields, 2) == Some(*id),
            Self::Text(name) => fields.first() == Some(&name.as_str()) && number(fields, 2).is_some(),
        }
    }
}

impl Wanted {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let group = group.filter(|group| !group.is_empty()).map(Name::parse).transpose()?;
        Ok(Self { user: Name::parse(user)?, group })
    }

    /// User and group, where no file has to be asked. Root's group is that of root.
    pub(crate) fn certain(&self) -> Option<(u32, u32)> {
        match (self.user.id()?, &self.group) {
            (uid, Some(group)) => Some((uid, group.id()?)),
            (0, None) => Some((0, 0)),
            (_, None) => None,
        }
    }

    /// Asks the image's `/etc/passwd` and `/etc/group`.
    pub(crate) fn look_up(&self, passwd: &str, group: &str) -> Result<Account, Fault> {
        let user = passwd.lines().map(fields).find(|fields| self.user.is_meant(fields));
        let uid = match (&user, &self.user) {
            (Some(user), _) => number(user, 2).unwrap_or_default(),
            (None, Name::Id(id)) => *id,
            (None, Name::Text(name)) => return Err(missing("user", name, "passwd")),
        };
        let name = user.as_ref().and_then(|user| user.first().copied());
        let is_member = |fields: &Vec<&str>| {
            fields.get(3).is_some_and(|members| members.split(',').any(|member| Some(member) == name))
        };
        let (gid, groups) = match &self.group {
            None => {
                let members = group.lines().map(fields).filter(is_member);
                let gid = user.as_ref().and_then(|user| number(user, 3)).unwrap_or_default();
                (gid, members.filter_map(|fields| number(&fields, 2)).take(MOST_GROUPS).collect())
            }
            // Whoever names a group wants that one only.
            Some(wanted) => {
                let found = group.lines().map(fields).find(|fields| wanted.is_meant(fields));
                let gid = match (found, wanted) {
                    (Some(found), _) => number(&found, 2).unwrap_or_default(),
                    (None, Name::Id(id)) => *id,
                    (None, Name::Text(name)) => return Err(missing("group", name, "group")),
                };
                (gid, Vec::new())
            }
        };
        let home = user.as_ref().and_then(|user| user.get(5)).copied().unwrap_or_default();
        let home = if home.is_empty() || home.contains('\0') { "/" } else { home };
        Ok(Account { uid, gid, groups, home: home.to_owned() })
    }
}

/// More than any user is in; Linux takes 65,536.
const MOST_GROUPS: usize = 1024;

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

/// A field that is the number of a user or group that an image can have.
fn number(fields: &[&str], index: usize) -> Option<u32> {
    fields.get(index)?.parse().ok().filter(|&id| id < IMAGE_IDS)
}

fn missing(what: &str, name: &str, file: &str) -> Fault {
    Fault::new(format!("find {what} '{name}' in /etc/{file} of the image"), libc::ENOENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nodd\napp:x:1000:1001::/srv/app:/bin/sh\nbare:x:7:8::\nfar:x:70000:1::/:\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\ndocker:x:99:other,app\nwheel:x:10:app\nfar:x:70000:app\n";

    fn found(text: &str) -> (u32, u32, Vec<u32>, String) {
        let Account { uid, gid, groups, home } = Wanted::parse(text).unwrap().look_up(PASSWD, GROUP).unwrap();
        (uid, gid, groups, home)
    }

    #[test]
    fn names_and_numbers_are_looked_up() {
        let is = |uid, gid, groups: &[u32], home: &str| (uid, gid, groups.to_vec(), home.to_owned());
        for root in ["", "root", "0"] {
            assert_eq!(found(root), is(0, 0, &[], "/root"));
            assert_eq!(Wanted::parse(root).unwrap().certain(), Some((0, 0)));
        }
        for app in ["app", "1000"] {
            assert_eq!(found(app), is(1000, 1001, &[99, 10], "/srv/app"));
            assert_eq!(Wanted::parse(app).unwrap().certain(), None);
        }
        assert_eq!(found("app:docker"), is(1000, 99, &[], "/srv/app"));
        assert_eq!(found("app:5"), is(1000, 5, &[], "/srv/app"));
        assert_eq!(found("app:"), found("app"));
        assert_eq!(found(":wheel"), is(0, 10, &[], "/root"));
        assert_eq!(found("4242"), is(4242, 0, &[], "/"));
        assert_eq!(found("bare"), is(7, 8, &[], "/"));
        assert_eq!(Wanted::parse("12:34").unwrap().certain(), Some((12, 34)));
    }

    #[test]
    fn whoever_is_not_there_is_named() {
        for (text, said) in
            [("ghost", "user 'ghost'"), ("far", "user 'far'"), ("app:ghosts", "group 'ghosts'")]
        {
            let error = Wanted::parse(text).unwrap().look_up(PASSWD, GROUP).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(Wanted::parse("65536").unwrap_err().to_string().contains("65536"));
        assert!(Wanted::parse("1:99999999999").is_err());
        assert_eq!(Wanted::parse("5").unwrap().look_up("", "").unwrap().home, "/");
    }
}
