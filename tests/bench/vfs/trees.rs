//! What is worked on: files and directories that every run makes anew.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    cleanup::Place,
    process::{program, timed},
};

/// Numbers that look random and are the same every time (`xorshift64*`, S. Vigna, "An experimental exploration of
/// Marsaglia's xorshift generators, scrambled").
#[derive(Clone, Debug)]
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Lines of 20 to 120 letters, digits and blanks until there are so many bytes. Gives how many lines there are.
pub(crate) fn text(path: &Path, bytes: u64) -> Outcome<u64> {
    // Made of parts of one block: a generator that draws each letter would take longer than what is measured.
    let mut noise = Noise::new(1);
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789      ";
    let block: Vec<u8> = (0..64 * 1024)
        .map(|_| letters[usize::try_from(noise.below(letters.len() as u64)).unwrap_or(0)])
        .collect();
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut left, mut lines) = (bytes, 0);
    while left > 0 {
        let length = usize::try_from((20 + noise.below(101)).min(left))?;
        let from = usize::try_from(noise.below((block.len() - length) as u64))?;
        file.write_all(&block[from..from + length - 1])?;
        file.write_all(b"\n")?;
        left -= length as u64;
        lines += 1;
    }
    file.flush()?;
    Ok(lines)
}

/// So many files of so many bytes, a hundred in each directory.
pub(crate) fn tree(path: &Path, files: usize, bytes: usize) -> Outcome<()> {
    let mut noise = Noise::new(2);
    let mut content = vec![0; bytes];
    for number in 0..files {
        let directory = path.join(format!("directory-{:04}", number / 100));
        if number % 100 == 0 {
            fs::create_dir_all(&directory)?;
        }
        for part in content.chunks_mut(4096) {
            let word = noise.next().to_le_bytes();
            let length = word.len().min(part.len());
            part[..length].copy_from_slice(&word[..length]);
        }
        fs::write(directory.join(format!("file-{number:06}.txt")), &content)?;
    }
    Ok(())
}

/// A repository with files in a hundred to a directory, a history, one file of 10 MiB, and all of it in one pack.
pub(crate) fn repository(place: &Place, path: &Path, files: u64, commits: u64) -> Outcome<()> {
    let git = || {
        let mut git = program(place, "git");
        git.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .arg("-C")
            .arg(path);
        git
    };
    fs::create_dir_all(path)?;
    timed(git().args(["init", "--quiet", "--initial-branch", "main"]))?;
    let mut import = git()
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = BufWriter::new(import.stdin.take().ok_or("stdin is piped")?);
    let mut noise = Noise::new(3);
    for commit in 0..commits {
        let message = format!("Change {commit}");
        writeln!(
            input,
            "commit refs/heads/main\ncommitter Somebody <somebody@example.org> {} +0000\ndata {}\n{message}",
            1_700_000_000 + commit,
            message.len()
        )?;
        if commit == 0 {
            write_blob(&mut input, "large.txt", &large(&mut noise))?;
        }
        // The first commit has all files, those after it change a twentieth.
        for number in (0..files).filter(|number| commit == 0 || number % 20 == commit % 20) {
            let name = format!("directory-{:04}/file-{number:06}.txt", number / 100);
            write_blob(&mut input, &name, &source(number, commit, &mut noise))?;
        }
        writeln!(input)?;
    }
    input.flush()?;
    drop(input);
    let status = import.wait()?;
    if !status.success() {
        return Err(format!("git fast-import ended with {status}").into());
    }
    timed(git().args(["gc", "--quiet"]))?;
    Ok(())
}

fn write_blob(input: &mut impl Write, name: &str, content: &[u8]) -> Outcome<()> {
    writeln!(input, "M 100644 inline {name}\ndata {}", content.len())?;
    input.write_all(content)?;
    writeln!(input)?;
    Ok(())
}

/// About 2 KiB of text of which a line differs from commit to commit.
fn source(number: u64, commit: u64, noise: &mut Noise) -> Vec<u8> {
    let mut text = format!("// file {number}, state {commit}\n").into_bytes();
    for line in 0..40 + number % 20 {
        let word = if line == 7 {
            noise.next()
        } else {
            number * line
        };
        text.extend_from_slice(format!("let value_{line} = compute({word:016x});\n").as_bytes());
    }
    text
}

/// 10 MiB that hardly compress.
fn large(noise: &mut Noise) -> Vec<u8> {
    let mut text = Vec::with_capacity(10 << 20);
    while text.len() < 10 << 20 {
        text.extend_from_slice(format!("{:016x}\n", noise.next()).as_bytes());
    }
    text
}

/// Runs a program and throws its output away, which is read: some notice that nobody would, and do nothing. Gives the time
/// from before its start to its first output, to its end, and how many lines it wrote.
pub(crate) fn drained(command: &mut std::process::Command) -> Outcome<Drained> {
    use std::io::Read as _;
    let start = Instant::now();
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().ok_or("stdout is piped")?;
    let mut piece = vec![0; 256 * 1024];
    let mut drained = Drained::default();
    loop {
        let count = output.read(&mut piece)?;
        if count == 0 {
            break;
        }
        if drained.bytes == 0 {
            drained.first = start.elapsed();
        }
        drained.bytes += count as u64;
        drained.lines += lines(&piece[..count]);
    }
    let status = child.wait()?;
    drained.taken = start.elapsed();
    if !status.success() {
        return Err(format!("{} ended with {status}", command.get_program().display()).into());
    }
    Ok(drained)
}

/// What a program wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drained {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) first: Duration,
    pub(crate) taken: Duration,
}

/// Ends of lines.
pub(crate) fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}
