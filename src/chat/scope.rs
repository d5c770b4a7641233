//! Scopes: what a token may do, in words that clients use.

/// One right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To see the desktop.
    DesktopView,
    /// To act on the desktop; includes seeing it.
    DesktopControl,
    /// Processes.
    Process,
    /// To read files.
    FilesRead,
    /// To change files; includes reading them.
    FilesWrite,
    /// To read repositories.
    Git,
    /// Everything.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::DesktopView,
        Self::DesktopControl,
        Self::Process,
        Self::FilesRead,
        Self::FilesWrite,
        Self::Git,
        Self::Admin,
    ];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DesktopView => "desktop:view",
            Self::DesktopControl => "desktop:control",
            Self::Process => "process",
            Self::FilesRead => "files:read",
            Self::FilesWrite => "files:write",
            Self::Git => "git",
            Self::Admin => "admin",
        }
    }

    /// The scope of a word.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The scopes of which each includes this one.
    const fn given_by(self) -> u8 {
        let wider = match self {
            Self::DesktopView => Self::DesktopControl.bit(),
            Self::FilesRead => Self::FilesWrite.bit(),
            Self::DesktopControl | Self::Process | Self::FilesWrite | Self::Git | Self::Admin => 0,
        };
        self.bit() | wider | Self::Admin.bit()
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// `admin`, which is everything.
    pub const ADMIN: Self = Self(Scope::Admin.bit());

    /// Whether the set has the scope, or one that includes it.
    pub fn include(self, scope: Scope) -> bool {
        self.0 & scope.given_by() != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes as they were given, without what they include.
    pub fn given(self) -> impl Iterator<Item = Scope> {
        let all = Scope::ALL.into_iter();
        all.filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Scope::{Admin, DesktopControl, DesktopView, FilesRead, FilesWrite, Git, Process},
        *,
    };

    #[test]
    fn wider_scopes_include_narrower_ones_and_nothing_else() {
        let includes = |given: Scope| -> Vec<Scope> {
            let set: Scopes = [given].into_iter().collect();
            let all = Scope::ALL.into_iter();
            all.filter(|scope| set.include(*scope)).collect()
        };
        assert_eq!(includes(DesktopView), [DesktopView]);
        assert_eq!(includes(DesktopControl), [DesktopView, DesktopControl]);
        assert_eq!(includes(Process), [Process]);
        assert_eq!(includes(FilesRead), [FilesRead]);
        assert_eq!(includes(FilesWrite), [FilesRead, FilesWrite]);
        assert_eq!(includes(Git), [Git]);
        assert_eq!(includes(Admin), Scope::ALL);
        assert!(
            Scope::ALL
                .iter()
                .all(|scope| !Scopes::default().include(*scope))
        );
    }

    #[test]
    fn words_and_scopes_are_the_same() {
        for scope in Scope::ALL {
            assert_eq!(Scope::by_name(scope.name()), Some(scope));
        }
        assert_eq!(Scope::by_name("desktop"), None);
        let set: Scopes = [Scope::Git, Scope::Process].into_iter().collect();
        assert_eq!(
            set.given().collect::<Vec<_>>(),
            [Scope::Process, Scope::Git]
        );
    }
}
