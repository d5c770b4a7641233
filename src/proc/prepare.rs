//! What a start leaves open: whom it runs as, where, with which arguments and environment.

use std::{ffi::OsString, path::PathBuf};

use super::{
    Config,
    environment::{Layers, Variables},
    error::StartError,
    spec::{Caller, Program, Request},
    wire::Strings,
};
use crate::sys::child::setup::{Account, may_switch_user};

impl Config {
    /// Whom it runs as, and whether that is another one than us.
    pub(super) fn account(
        &self,
        requested: Option<&str>,
    ) -> Result<(Option<Account>, bool), StartError> {
        let Some(name) = requested.or(self.user.as_deref()) else {
            return Ok((Account::own(), false));
        };
        let account = Account::find(name).ok_or_else(|| StartError::UnknownUser {
            user: name.to_owned(),
        })?;
        if Account::own().as_ref() == Some(&account) {
            return Ok((Some(account), false));
        }
        if !may_switch_user() {
            return Err(StartError::UserNotPermitted);
        }
        Ok((Some(account), true))
    }

    /// Where a request will run.
    pub(super) fn directory_of(&self, request: &Request) -> Result<PathBuf, StartError> {
        let (account, switch) = self.account(request.user.as_deref())?;
        Ok(self.directory(&request.workdir, account.as_ref(), switch))
    }

    /// Whether this is who processes run as when nobody is named.
    pub(super) fn is_default_user(&self, name: &str) -> bool {
        let usual = self
            .user
            .as_deref()
            .map_or_else(Account::own, Account::find);
        usual.is_some() && Account::find(name) == usual
    }

    /// The request's, else the configured one, else the home, else the root; a relative one starts at the rest.
    fn directory(&self, requested: &str, account: Option<&Account>, switch: bool) -> PathBuf {
        let home = || match account {
            Some(account) if switch => Some(account.home.clone()),
            account => {
                let all = self.inherited.iter();
                let home = all.rev().find(|(name, _)| name == "HOME");
                let home = home.map(|(_, value)| PathBuf::from(value));
                home.or_else(|| account.map(|account| account.home.clone()))
            }
        };
        let configured = self.workdir.clone();
        let base = || {
            let there = |path: &PathBuf| path.is_absolute() && path.is_dir();
            let default = configured.filter(there).or_else(|| home().filter(there));
            default.unwrap_or_else(|| PathBuf::from("/"))
        };
        if requested.starts_with('/') {
            PathBuf::from(requested)
        } else if requested.is_empty() {
            base()
        } else {
            base().join(requested)
        }
    }

    pub(super) fn strings(
        &self,
        request: &Request,
        caller: &Caller,
        desktop: &Variables,
        account: Option<&Account>,
        switch: bool,
    ) -> Strings {
        let directory = self.directory(&request.workdir, account, switch);
        let mut implied = vec![("PWD", OsString::from(&directory))];
        if let Some(terminal) = &request.terminal {
            implied.push(("TERM", OsString::from(&terminal.term)));
        }
        if let Some(account) = account.filter(|_| switch || request.user.is_some()) {
            implied.extend([
                ("HOME", OsString::from(&account.home)),
                ("USER", OsString::from(&account.name)),
                ("LOGNAME", OsString::from(&account.name)),
                ("SHELL", OsString::from(&account.shell)),
            ]);
        }
        let layers = Layers {
            inherited: &self.inherited,
            keep_display: self.keep_display,
            configured: &self.env,
            desktop,
            implied: &implied,
            requested: &request.env,
            chat: caller.chat,
        };
        let arguments = match &request.program {
            Program::Direct { argv } => argv.iter().map(OsString::from).collect(),
            Program::Shell { command, login } => {
                let text = OsString::from(command);
                if *login {
                    let shell = account.map_or_else(|| "/bin/sh".into(), |a| a.shell.clone());
                    vec![shell.into(), "-l".into(), "-c".into(), text]
                } else {
                    vec!["sh".into(), "-c".into(), text]
                }
            }
        };
        Strings {
            environment: layers.flatten(),
            arguments,
            directory,
        }
    }
}
