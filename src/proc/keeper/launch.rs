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
        record::{Applied, Means, Record, Status},
        wire::{Launch, Refusal, Refused, Strings},
    },
    sys::{
        cgroup::Group,
        child::{
            Process, Spec,
            setup::{Account, Adjustment, Limit, Setup},
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

/// Where a child writes what it was refused, and where that is read when it runs. One for all: they are started one
/// after the other.
#[derive(Debug)]
pub(super) struct Refusals {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Refusals {
    pub(super) fn open() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        descriptor::set_nonblocking(&reader)?;
        descriptor::set_nonblocking(&writer)?;
        Ok(Self {
            reader: reader.into(),
            writer: writer.into(),
        })
    }

    /// What was written since it was asked last.
    fn take(&self) -> Vec<Adjustment> {
        let mut letters = [0; 16];
        let count = descriptor::read(&self.reader, &mut letters).unwrap_or(0);
        Adjustment::told(&letters[..count])
    }
}

/// What has been started.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) record: Record,
    /// The daemon's copy of its input.
    pub(super) input: Option<OwnedFd>,
    pub(super) refused: Vec<Refused>,
}

/// Starts it and its owner. Blocks for the fork.
pub(super) fn launch(
    shared: &Arc<Shared>,
    order: &Launch,
    strings: &Strings,
) -> Result<Launched, Refusal> {
    check_directory(&strings.directory)?;
    let files = match order.terminal {
        Some((rows, columns)) => terminal(rows, columns),
        None => pipes(order),
    }
    .map_err(failed)?;
    let group = shared.group(order);
    let applied = applied(order, group.as_deref())?;
    let setup = setup_inside(shared, order, applied, group.as_deref())?;
    let spec = spec(order, strings)
        .setup(setup)
        .errors(files.errors)
        .output(files.output);
    let spec = match files.input {
        Some(input) => spec.input(input),
        None => spec,
    };
    shared.reserve(order);
    let started = Instant::now();
    let (process, refused) = execute(shared, order, spec)?;
    // A copy that cannot be made means that nobody can write: the program reads an open, silent input.
    let copy = files.keyboard.as_ref().map(OwnedFd::try_clone).transpose();
    let record = Record {
        id: order.id,
        pid: process.pid(),
        birth: process.started(),
        started_ns: now_ns(),
        segment: segment(shared.limits.row),
        applied,
        status: Status::running(),
        facts: order.facts.clone(),
    };
    // Who is not in its group cannot be found by it.
    let group = group.filter(|_| !refused.contains(&Adjustment::Group));
    shared.insert(Kept {
        record: record.clone(),
        process: Some(Arc::clone(&process)),
        group: group.clone(),
        input: files.keyboard,
        spools: None,
        on_disk: 0,
    });
    own(shared, order, process, group, files.sources, started);
    Ok(Launched {
        record,
        input: copy.unwrap_or(None),
        refused: refused.into_iter().filter_map(without).collect(),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: io::Error) -> Refusal {
    Refusal::Spawn(error.to_string())
}

/// What the child changes about itself, and the groups that it moves to.
fn setup_inside(
    shared: &Shared,
    order: &Launch,
    applied: Applied,
    group: Option<&Group>,
) -> Result<Setup, Refusal> {
    let only_inside = applied.inside();
    let groups = match group.map(Group::entrances).transpose() {
        Ok(groups) => groups.unwrap_or_default(),
        Err(error) if only_inside => return Err(failed(error)),
        Err(_) => Vec::new(),
    };
    let refusals = shared.refusals.as_ref();
    Ok(Setup {
        groups,
        only_inside,
        refusals: refusals.and_then(|all| all.writer.try_clone().ok()),
        ..setup(order, applied)
    })
}

/// Runs the program; and what it was refused.
fn execute(
    shared: &Shared,
    order: &Launch,
    spec: Spec,
) -> Result<(Arc<Process>, Vec<Adjustment>), Refusal> {
    let result = spec.start();
    let refused = shared.refusals.as_ref().map(Refusals::take);
    let refused = refused.unwrap_or_default();
    let error = match result {
        Ok(process) => return Ok((Arc::new(process), refused)),
        Err(error) => error,
    };
    shared.release(order.id);
    if let Some(limit) = refused.into_iter().find_map(limit_name) {
        return Err(Refusal::Limit(limit.to_owned()));
    }
    Err(match error.source.kind() {
        io::ErrorKind::NotFound => Refusal::NotFound,
        _ => failed(error.source),
    })
}

/// Gives the process its owner.
fn own(
    shared: &Arc<Shared>,
    order: &Launch,
    process: Arc<Process>,
    group: Option<Arc<Group>>,
    sources: Vec<Source>,
    started: Instant,
) {
    let task = Task {
        id: order.id,
        shared: Arc::clone(shared),
        process,
        group,
        sources,
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
}

/// What a process runs without.
fn without(adjustment: Adjustment) -> Option<Refused> {
    match adjustment {
        Adjustment::Group => Some(Refused::Group),
        Adjustment::Nice => Some(Refused::Nice),
        Adjustment::OomScore => Some(Refused::OomScore),
        Adjustment::Limit(_) => None,
    }
}

/// The field of a limit that the system refused.
fn limit_name(adjustment: Adjustment) -> Option<&'static str> {
    match adjustment {
        Adjustment::Limit(Limit::AddressSpace) => Some("memory_bytes"),
        Adjustment::Limit(Limit::Cpu) => Some("cpu_seconds"),
        Adjustment::Limit(Limit::Descriptors) => Some("nofile"),
        Adjustment::Group | Adjustment::Nice | Adjustment::OomScore => None,
    }
}

/// By what each limit is applied. One that a request asked for and that cannot be had is a refusal.
fn applied(order: &Launch, group: Option<&Group>) -> Result<Applied, Refusal> {
    let has = group.map(Group::limits).unwrap_or_default();
    if order.pids_required && !has.pids {
        return Err(Refusal::Limit("pids".to_owned()));
    }
    let rlimit = |limit: Option<u64>| {
        if limit.is_some() {
            Means::Rlimit
        } else {
            Means::None
        }
    };
    Ok(Applied {
        memory: if has.memory {
            Means::Cgroup
        } else {
            rlimit(order.memory)
        },
        cpu: rlimit(order.cpu_seconds),
        pids: if has.pids { Means::Cgroup } else { Means::None },
        nofile: rlimit(order.descriptors),
    })
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

fn setup(order: &Launch, applied: Applied) -> Setup {
    let each = order.memory.filter(|_| applied.memory == Means::Rlimit);
    let limits = [
        (Limit::Cpu, order.cpu_seconds),
        (Limit::AddressSpace, each),
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
        user: account,
        ..Setup::default()
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
