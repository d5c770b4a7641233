//! Where a repository stands: its branch, what that follows, and what is under way.

use super::{
    checkout::Checkout,
    commits::Commits,
    guard::Guard,
    objects::Id,
    place::Place,
    refs::{self, Head},
    settings::Settings,
};

/// What is under way in a work tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `git merge`.
    Merge,
    /// `git rebase`.
    Rebase,
    /// `git cherry-pick`.
    CherryPick,
    /// `git revert`.
    Revert,
    /// `git bisect`.
    Bisect,
    /// `git am`.
    Am,
}

/// Where a repository stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Short name of the branch; empty when HEAD is detached.
    pub branch: String,
    /// Full id of HEAD's commit, in hexadecimal; none before the first.
    pub head: Option<String>,
    /// Short name of what the branch follows.
    pub upstream: Option<String>,
    /// Commits that only the branch has, and that only the upstream has.
    pub ahead_behind: Option<(u64, u64)>,
    /// What is under way.
    pub operation: Option<Operation>,
    /// URL of `origin`, without user name and password.
    pub remote_origin: Option<String>,
}

/// The last count, and of what.
pub(super) type Counted = Option<((Id, Id), Option<(u64, u64)>)>;

/// Looks at what does not need the work tree. Commits are counted again only when an id has moved.
pub(super) fn standing(
    checkout: &Checkout,
    head: &Head,
    counted: &mut Counted,
    guard: &Guard,
) -> Standing {
    let branch = head.branch.as_deref().unwrap_or_default();
    let short = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    let upstream = upstream(checkout, short);
    let ids = upstream.as_ref().and_then(|name| {
        let theirs = refs::resolve(&checkout.place, name).ok().flatten()?;
        Some((head.commit?, theirs))
    });
    if ids != counted.map(|(ids, _)| ids) {
        let commits = Commits::new(&checkout.objects, &checkout.place, &checkout.root, guard);
        *counted = ids.map(|ids| (ids, commits.ahead_behind(ids.0, ids.1)));
    }
    Standing {
        branch: short.to_owned(),
        head: head.commit.map(|id| id.to_string()),
        upstream: upstream.map(|name| short_name(&name)),
        ahead_behind: counted.and_then(|(_, counts)| counts),
        operation: operation(&checkout.place),
        remote_origin: remote_origin(&checkout.settings),
    }
}

/// The reference that a branch follows.
fn upstream(checkout: &Checkout, branch: &str) -> Option<String> {
    let config = &checkout.settings.config;
    let remote = config
        .text(&format!("branch.{branch}.remote"))
        .filter(|_| !branch.is_empty())?;
    let merge = config.text(&format!("branch.{branch}.merge"))?;
    if remote == "." {
        return Some(merge);
    }
    let key = format!("remote.{remote}.fetch");
    config.all(&key).find_map(|rule| {
        let rule = std::str::from_utf8(rule).ok()?;
        let (from, to) = rule.strip_prefix('+').unwrap_or(rule).split_once(':')?;
        match (from.strip_suffix('*'), to.strip_suffix('*')) {
            (Some(from), Some(to)) => merge.strip_prefix(from).map(|rest| format!("{to}{rest}")),
            _ => (from == merge).then(|| to.to_owned()),
        }
    })
}

fn short_name(name: &str) -> String {
    let starts = ["refs/heads/", "refs/remotes/", "refs/tags/", "refs/"];
    let short = starts.iter().find_map(|start| name.strip_prefix(start));
    short.unwrap_or(name).to_owned()
}

/// The URL of `origin`, without who logs in.
pub(super) fn remote_origin(settings: &Settings) -> Option<String> {
    let url = settings.config.text("remote.origin.url");
    url.map(|url| without_user(&url))
}

/// What is under way.
pub(super) fn operation(place: &Place) -> Option<Operation> {
    let has = |name: &str| place.git_dir.join(name).symlink_metadata().is_ok();
    let all = [
        ("rebase-merge", Operation::Rebase),
        ("rebase-apply/applying", Operation::Am),
        ("rebase-apply", Operation::Rebase),
        ("MERGE_HEAD", Operation::Merge),
        ("CHERRY_PICK_HEAD", Operation::CherryPick),
        ("REVERT_HEAD", Operation::Revert),
        ("BISECT_LOG", Operation::Bisect),
    ];
    all.into_iter()
        .find(|(name, _)| has(name))
        .map(|(_, operation)| operation)
}

/// An http(s) URL without user name and password.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return url.to_owned();
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[host..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_who_logs_in() {
        for (url, due) in [
            ("https://u:p@h/x@y", "https://h/x@y"),
            ("HTTP://u@h", "HTTP://h"),
            ("https://u:p@@h/x", "https://h/x"),
            ("ssh://git@h/x", "ssh://git@h/x"),
            ("git@h:x", "git@h:x"),
        ] {
            assert_eq!(without_user(url), due);
        }
    }
}
