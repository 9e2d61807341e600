//! One temporary PostgreSQL cluster for the whole run. It is deleted when the test process ends.
//!
//! `TEST_DATABASE_URL` (the URL of a superuser) selects another server. `TEST_DATABASE_DIRECTORY`
//! is the directory of its `log`, written with `log_line_prefix = '%d '`. Without it, tests that
//! read the log are skipped. `TEST_POSTGRES_BIN` is the directory of the programs of another
//! version of PostgreSQL, of which the tests start a server.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::others::find;

/// The server that the tests share.
pub struct Cluster {
    /// URL of a superuser, without a database.
    pub base_url: String,
    /// The authority of its TLS certificate, if we started the server.
    pub ca_pem: Option<String>,
    /// The directory of its log.
    pub directory: Option<PathBuf>,
    /// Ends the server when this process ends: it waits until its stdin closes.
    _watchdog: Option<Child>,
}

impl Cluster {
    /// The log entries of one database; `None` if the log cannot be read.
    pub fn log_of_database(&self, url: &str) -> Option<String> {
        let (_, name) = url.rsplit_once('/').unwrap();
        let log = std::fs::read_to_string(self.directory.as_ref()?.join("log")).unwrap();
        let of_it = |entry: &&str| entry.starts_with(&format!("{name} "));
        // An indented line belongs to the entry before it.
        let entries = log.replace("\n\t", "\u{b}");
        Some(
            entries
                .lines()
                .filter(of_it)
                .map(|entry| entry.replace('\u{b}', "\n\t") + "\n")
                .collect(),
        )
    }
}

/// The shared server; starts it on the first call.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match std::env::var("TEST_DATABASE_URL") {
        Ok(url) => {
            let base_url = match url.rsplit_once('/') {
                Some((base, _)) if base.contains('@') => base.to_owned(),
                _ => url,
            };
            let directory = std::env::var_os("TEST_DATABASE_DIRECTORY").map(PathBuf::from);
            Cluster {
                base_url,
                ca_pem: None,
                directory,
                _watchdog: None,
            }
        }
        Err(_) => start_cluster(),
    })
}

/// Starts the server that all tests share.
fn start_cluster() -> Cluster {
    let bin = server_binaries().expect(
        "no PostgreSQL server found on PATH or in /usr/lib/postgresql/*/bin: install one (Debian: apt-get install postgresql) or set TEST_DATABASE_URL",
    );
    let directory = tempfile::Builder::new()
        .prefix("booking-automation-")
        .tempdir()
        .unwrap()
        .keep();
    let data = directory.join("data");
    let ca_pem = write_certificates(&directory);
    let root = is_root();
    if root {
        run(Command::new("chown")
            .args(["-R", "postgres"])
            .arg(&directory));
    }
    run(as_postgres(root, &bin.join("initdb"))
        .args([
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-sync",
            "-D",
        ])
        .arg(&data));
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = as_postgres(root, &bin.join("postgres"))
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-k"])
        .arg(&directory)
        .args(server_settings(&directory))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(directory.join("log")).unwrap())
        .spawn()
        .unwrap();
    let watchdog = start_watchdog(&server, &directory);
    wait_until_ready(&mut server, &directory);
    Cluster {
        base_url: format!("postgres://postgres@127.0.0.1:{port}"),
        ca_pem: Some(ca_pem),
        directory: Some(directory),
        _watchdog: Some(watchdog),
    }
}

/// Writes the server's certificate and key; returns the certificate of their authority.
fn write_certificates(directory: &Path) -> String {
    let (ca_pem, certificate, key) = certificates();
    std::fs::write(directory.join("server.crt"), certificate).unwrap();
    std::fs::write(directory.join("server.key"), key).unwrap();
    run(Command::new("chmod")
        .arg("600")
        .arg(directory.join("server.key")));
    ca_pem
}

/// The server's settings as arguments.
fn server_settings(directory: &Path) -> Vec<String> {
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        "fsync=off".to_owned(),
        "max_connections=300".to_owned(),
        "ssl=on".to_owned(),
        "max_prepared_transactions=0".to_owned(),
        "autovacuum_naptime=10s".to_owned(),
        "log_line_prefix=%d ".to_owned(),
        "shared_buffers=256MB".to_owned(),
        format!("ssl_cert_file={}", directory.join("server.crt").display()),
        format!("ssl_key_file={}", directory.join("server.key").display()),
    ];
    settings
        .into_iter()
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect()
}

/// Starts a process that ends the server and deletes its directory when this process ends and
/// closes the pipe.
fn start_watchdog(server: &Child, directory: &Path) -> Child {
    let script = "cat; kill -INT $0
        for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $0 2>/dev/null || break; sleep 0.5; done
        rm -rf \"$1\"";
    Command::new("sh")
        .args(["-c", script])
        .arg(server.id().to_string())
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the server takes connections: then the last line of its file says `ready`.
fn wait_until_ready(server: &mut Child, directory: &Path) {
    let give_up = Instant::now() + Duration::from_secs(60);
    let file = directory.join("data/postmaster.pid");
    while !std::fs::read_to_string(&file).is_ok_and(|text| text.trim_end().ends_with("ready")) {
        let log = || std::fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(
            server.try_wait().unwrap().is_none(),
            "PostgreSQL did not start: {}",
            log()
        );
        assert!(
            Instant::now() < give_up,
            "PostgreSQL did not start in 60 s: {}",
            log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server of one test, which may restart or crash it.
pub struct OwnCluster {
    /// URL of an empty database, as a superuser.
    pub url: String,
    /// Where it listens.
    pub port: u16,
    bin: PathBuf,
    directory: tempfile::TempDir,
    /// Whether the data are on a separate small disk.
    mounted: bool,
    /// The library that sets its clock.
    faketime: Option<PathBuf>,
}

impl OwnCluster {
    /// Starts a server; `None`, with a message, where PostgreSQL is not installed.
    pub async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// Starts a server with additional settings.
    pub async fn start_with(settings: &str) -> Option<Self> {
        let own = Self::prepare()?;
        run(own.initdb());
        own.append_settings(settings);
        own.start_server();
        Some(own)
    }

    /// Starts a server whose clock the test sets; `None`, with a message, where libfaketime is not
    /// installed.
    pub async fn start_with_clock() -> Option<Self> {
        let mut own = Self::prepare()?;
        own.faketime = Some(faketime_library()?.into());
        own.step_clock(0);
        run(own.initdb());
        own.start_server();
        Some(own)
    }

    /// Sets the server's clock to so many seconds ahead of the true time.
    pub fn step_clock(&self, seconds: i64) {
        // Never empty for a reader.
        let new = self.directory.path().join("clock.new");
        std::fs::write(&new, format!("{seconds:+}s\n")).unwrap();
        std::fs::rename(new, self.clock()).unwrap();
    }

    /// Creates another database; returns its URL.
    pub async fn another_database(&self) -> String {
        let name = format!("own_{}", uuid::Uuid::new_v4().simple());
        let db = crate::app::connect(&self.url).await;
        db.batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
        format!("{}/{name}", self.url.rsplit_once('/').unwrap().0)
    }

    fn clock(&self) -> PathBuf {
        self.directory.path().join("clock")
    }

    /// Starts a server whose data are on a disk of this many megabytes; `None`, with a message,
    /// where nothing can be mounted.
    pub async fn start_on_small_disk(megabytes: u32) -> Option<Self> {
        let mut own = Self::prepare()?;
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(own.disk())
            .output();
        if !mount.is_ok_and(|output| output.status.success()) {
            crate::app::skipped("a full disk: nothing can be mounted here, which only root may");
            return None;
        }
        own.mounted = true;
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(own.disk()));
        }
        run(own.initdb().arg("--wal-segsize=1"));
        // Only the test writes, and old log segments are not kept.
        own.append_settings(
            "autovacuum = off\nwal_writer_delay = 10s\nmin_wal_size = 2MB\nmax_wal_size = 16MB",
        );
        own.start_server();
        Some(own)
    }

    /// Starts a synchronous standby: from now on every commit waits for it. All connections end.
    pub async fn synchronous_standby(&self) -> Self {
        let standby = Self::prepare().unwrap();
        self.stop();
        run(Command::new("cp")
            .arg("-a")
            .arg(self.data())
            .arg(standby.data()));
        standby.append_settings(&format!(
            "primary_conninfo = 'host=127.0.0.1 port={} user=postgres'",
            self.port
        ));
        self.start_server();
        standby.start_server_as_standby();
        let db = crate::app::connect(&self.url).await;
        db.batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            .await
            .unwrap();
        db.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let synchronous = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'";
        while db.query(synchronous, &[]).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        standby
    }

    /// Restarts the server: all connections end. Returns when it takes new ones.
    pub fn restart(&self) {
        run(self.pg_ctl().args(["-m", "fast", "restart"]));
    }

    /// Shuts the server down cleanly.
    pub fn stop(&self) {
        run(self.pg_ctl().args(["-m", "fast", "stop"]));
    }

    /// Kills the server if it runs.
    pub fn crash(&self) {
        let _ = self.pg_ctl().args(["-m", "immediate", "stop"]).status();
    }

    /// Starts the server again.
    pub fn start_server(&self) {
        let socket = self.directory.path().display();
        let options = format!(
            "-p {} -k {socket} -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=16MB",
            self.port
        );
        run(self.pg_ctl().args(["-o", &options, "start"]));
    }

    /// Starts the server again as a standby. Without `primary_conninfo` it follows no primary.
    pub fn start_server_as_standby(&self) {
        std::fs::write(self.data().join("standby.signal"), "").unwrap();
        self.start_server();
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        run(self.pg_ctl().arg("promote"));
    }

    /// The server's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Fills the disk completely.
    pub fn fill_disk(&self) {
        let mut ballast = std::fs::File::create(self.disk().join("ballast")).unwrap();
        for size in [65536, 4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Frees the space that `fill_disk` took.
    pub fn free_disk(&self) {
        std::fs::remove_file(self.disk().join("ballast")).unwrap();
    }

    fn prepare() -> Option<Self> {
        let Some(bin) = server_binaries() else {
            crate::app::skipped("no PostgreSQL server is installed that a test could restart");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("disk")).unwrap();
        if is_root() {
            run(Command::new("chown")
                .arg("-R")
                .arg("postgres")
                .arg(directory.path()));
        }
        let port = port_outside_ephemeral_range();
        Some(Self {
            url: format!("postgres://postgres@127.0.0.1:{port}/postgres"),
            port,
            bin,
            directory,
            mounted: false,
            faketime: None,
        })
    }

    /// Appends to `postgresql.conf`.
    fn append_settings(&self, settings: &str) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .unwrap();
        writeln!(file, "{settings}").unwrap();
    }

    fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    fn data(&self) -> PathBuf {
        self.disk().join("data")
    }

    fn initdb(&self) -> Command {
        let mut command = self.postgres("initdb");
        command.args(["--auth=trust", "--username=postgres", "--no-sync"]);
        command
    }

    fn pg_ctl(&self) -> Command {
        let mut command = self.postgres("pg_ctl");
        command
            .arg("-w")
            .arg("-l")
            .arg(self.directory.path().join("log"));
        command
    }

    fn postgres(&self, program: &str) -> Command {
        // `env`: not for the command that changes the user.
        let mut command = as_postgres(is_root(), Path::new("env"));
        if let Some(library) = &self.faketime {
            command
                .arg(format!("LD_PRELOAD={}", library.display()))
                .arg(format!(
                    "FAKETIME_TIMESTAMP_FILE={}",
                    self.clock().display()
                ))
                .args(["FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"]);
        }
        command.arg(self.bin.join(program));
        // The server outlives the command and must not keep the test's output open.
        command
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        self.crash();
        if self.faketime.is_some() {
            remove_shared_memory_of_dead_processes();
        }
        if self.mounted {
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.disk())
                .status();
        }
    }
}

/// libfaketime leaves a segment and a semaphore of each process that was ended.
pub fn remove_shared_memory_of_dead_processes() {
    for entry in std::fs::read_dir("/dev/shm")
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().into_string().unwrap_or_default();
        let (kind, process) = name.rsplit_once('_').unwrap_or_default();
        let is_ours = ["faketime_shm", "sem.faketime_sem"].contains(&kind);
        if is_ours && !Path::new("/proc").join(process).exists() {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// The library that changes a process's clock; `None`, with a message, where it is not installed.
pub fn faketime_library() -> Option<String> {
    let places =
        ["x86_64", "aarch64"].map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime"));
    let library = find("libfaketime.so.1", &places.each_ref().map(String::as_str));
    if library.is_none() {
        crate::app::skipped(
            "clocks that are off, which need libfaketime (Debian: apt-get install libfaketime)",
        );
    }
    library.map(|path| path.to_str().unwrap().to_owned())
}

/// The directory of the server's programs: `TEST_POSTGRES_BIN`, on the `PATH`, in Debian's
/// directories (newest first), or unpacked by `scripts/postgres`.
fn server_binaries() -> Option<PathBuf> {
    if let Some(bin) = std::env::var_os("TEST_POSTGRES_BIN") {
        return Some(PathBuf::from(bin));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    candidates.sort();
    candidates.reverse();
    std::env::split_paths(&path)
        .chain(candidates)
        .chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("target/postgresql/bin")])
        .find(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0\n")
}

/// The server refuses to run as root: there it runs as `postgres`, without sudo.
fn as_postgres(root: bool, program: &Path) -> Command {
    if root {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--init-groups"])
            .arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn run(mut command: impl std::borrow::BorrowMut<Command>) {
    let command = command.borrow_mut();
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A free port outside the ephemeral range: no connection takes it while the server is down.
fn port_outside_ephemeral_range() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000)
        .take(2_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap()
}

/// Creates a CA and a server certificate for `localhost`.
pub fn certificates() -> (String, String, String) {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let ca_pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    (ca_pem, certificate.pem(), key.serialize_pem())
}
