//! Starting one process: pipes or a terminal, the child, its owner.

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Kept, Shared,
    spool::{Pipe, Spools, segment},
    task::{Source, Task, now_ns},
};
use crate::{
    proc::{
        history,
        record::{Record, Status},
        wire::{Launch, Refusal, Strings},
    },
    sys::{
        child::{
            Process, Spec,
            setup::{Account, Limit, Setup},
        },
        descriptor, pty,
    },
};

/// What the child has as its standard files, and our ends of them.
#[derive(Debug)]
struct Files {
    input: Option<OwnedFd>,
    output: OwnedFd,
    errors: OwnedFd,
    sources: Vec<Source>,
    /// Where standard input is written: the pipe, or the terminal.
    keyboard: Option<OwnedFd>,
}

/// Starts it and its owner; the record, and the daemon's copy of its input. Blocks for the fork.
pub(super) fn launch(
    shared: &Arc<Shared>,
    order: &Launch,
    strings: &Strings,
) -> Result<(Record, Option<OwnedFd>), Refusal> {
    check_directory(&strings.directory)?;
    let failed = |error: io::Error| Refusal::Spawn(error.to_string());
    let files = match order.terminal {
        Some((rows, columns)) => terminal(rows, columns),
        None => pipes(order),
    }
    .map_err(failed)?;
    shared.reserve(order);
    let group = shared.group(order.id);
    let entrance = group.as_ref().and_then(|group| group.entrance().ok());
    let started = Instant::now();
    let keyboard = files.keyboard;
    let process = spec(order, strings)
        .setup(setup(order, entrance))
        .errors(files.errors)
        .output(files.output);
    let process = match files.input {
        Some(input) => process.input(input),
        None => process,
    };
    let process = match process.start() {
        Ok(process) => Arc::new(process),
        Err(error) => {
            shared.release(order.id);
            return Err(match error.source.kind() {
                io::ErrorKind::NotFound => Refusal::NotFound,
                _ => Refusal::Spawn(error.source.to_string()),
            });
        }
    };
    let copy = keyboard.as_ref().map(OwnedFd::try_clone).transpose();
    let record = Record {
        id: order.id,
        pid: process.pid(),
        birth: process.started(),
        started_ns: now_ns(),
        segment: segment(shared.limits.row),
        status: Status::running(),
        facts: order.facts.clone(),
    };
    let kept = Kept {
        record: record.clone(),
        process: Some(Arc::clone(&process)),
        group: group.clone(),
        input: keyboard,
        spools: None,
        on_disk: 0,
    };
    shared.insert(kept);
    let task = Task {
        id: order.id,
        shared: Arc::clone(shared),
        process,
        group,
        sources: files.sources,
        spools: Spools::new(
            history::folder(&shared.folder, order.id),
            shared.limits.row,
            order.facts.separate,
        ),
        status: Status::running(),
        started,
        deadline: deadline(started, order.facts.timeout_ms),
        cpu_limit: order.cpu_seconds,
        timed_out: false,
    };
    shared.shutdown.spawn(task.run());
    // A copy that cannot be made means that nobody can write: the program reads an open, silent input.
    Ok((record, copy.unwrap_or(None)))
}

/// Looked at before the fork, because a failed one does not tell what was missing.
fn check_directory(folder: &std::path::Path) -> Result<(), Refusal> {
    match std::fs::metadata(folder) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Refusal::Directory("not a directory".to_owned())),
        Err(error) => Err(Refusal::Directory(error.to_string())),
    }
}

fn deadline(started: Instant, timeout_ms: Option<u64>) -> Option<Instant> {
    // One that lies beyond what the clock can say is none.
    started.checked_add(Duration::from_millis(timeout_ms?))
}

fn spec(order: &Launch, strings: &Strings) -> Spec {
    let (program, arguments) = strings.arguments.split_first().expect("decoded with one");
    Spec::new(program)
        .arguments(arguments)
        .environment(&strings.environment)
        .directory(&strings.directory)
        .name(if order.facts.command.is_some() {
            std::path::Path::new(program)
                .file_name()
                .unwrap_or(program)
                .to_owned()
        } else {
            program.clone()
        })
}

fn setup(order: &Launch, entrance: Option<OwnedFd>) -> Setup {
    let limits = [
        (Limit::Cpu, order.cpu_seconds),
        (Limit::AddressSpace, order.address_space),
        (Limit::Descriptors, order.descriptors),
    ];
    let account = order.account.as_ref().map(|account| Account {
        name: account.name.clone(),
        uid: account.uid,
        gid: account.gid,
        groups: account.groups.clone(),
        home: PathBuf::new(),
        shell: PathBuf::new(),
    });
    Setup {
        terminal: order.terminal.is_some(),
        umask: Some(order.umask),
        limits: limits
            .into_iter()
            .filter_map(|(limit, value)| Some((limit, value?)))
            .collect(),
        nice: order.nice,
        oom_score: order.oom_score,
        cgroup: entrance,
        user: account,
    }
}

fn terminal(rows: u16, columns: u16) -> io::Result<Files> {
    let pty::Pty { master, slave } = pty::open(rows, columns)?;
    descriptor::set_nonblocking(&master)?;
    Ok(Files {
        input: Some(slave.try_clone()?),
        output: slave.try_clone()?,
        errors: slave,
        keyboard: Some(master.try_clone()?),
        sources: vec![Source {
            pipe: Pipe::Output,
            terminal: true,
            end: descriptor::readable(master)?,
        }],
    })
}

fn pipes(order: &Launch) -> io::Result<Files> {
    let (input, keyboard) = if order.facts.stdin_pipe {
        let (reader, writer) = io::pipe()?;
        descriptor::set_nonblocking(&writer)?;
        (Some(OwnedFd::from(reader)), Some(OwnedFd::from(writer)))
    } else {
        (None, None)
    };
    let (output, source) = pipe(Pipe::Output)?;
    let mut sources = vec![source];
    let errors = if order.facts.separate {
        let (errors, source) = pipe(Pipe::Errors)?;
        sources.push(source);
        errors
    } else {
        output.try_clone()?
    };
    Ok(Files {
        input,
        output,
        errors,
        sources,
        keyboard,
    })
}

fn pipe(pipe: Pipe) -> io::Result<(OwnedFd, Source)> {
    let (reader, writer) = io::pipe()?;
    descriptor::set_nonblocking(&reader)?;
    let source = Source {
        pipe,
        terminal: false,
        end: descriptor::readable(reader)?,
    };
    Ok((writer.into(), source))
}

/// The number by which the process that another keeper started can be told, if it still lives.
pub(super) fn left_over(record: &Record) -> Option<Process> {
    Process::adopt(record.pid, Some(record.birth))
}
