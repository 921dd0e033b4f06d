"""Certificates, and what each role may do with its own: a cluster that is closed."""

from __future__ import annotations

import datetime
import itertools
import logging
import shutil
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nodes.catalog import ensure_catalog, open_catalog
from nodes.cli import cli
from nodes.cli.common import say_insecurity
from nodes.client.attached import AttachedCluster
from nodes.client.blocking import Client
from nodes.errors import Forbidden, MasterLost, StartError
from nodes.security.certificates import make_certificates
from nodes.security.expiry import ExpiryWatch, expiry
from nodes.security.tls import CertificateRole, Tls
from nodes.security.tokens import read_token
from nodes.support.listening import beside, is_wildcard
from nodes.support.paths import shipped_data
from nodes.transport import Lane, RemoteFailure
from nodes.wire import decode_envelope
from nodes.worker.server import WorkerServer
from tests.kit import (
    PATIENCE,
    Node,
    hosted,
    kill_process,
    load_from_threads,
    make_tls,
    master_alone,
    poll_for,
    run_nodes,
    shipped_records,
    up,
    wait_up,
    worker_inside,
)

DAY = 86400.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of certificates."""
    return make_tls(tmp_path_factory.mktemp("tls") / "own")


# -- the files -------------------------------------------------------------------------


def test_only_their_owner_reads_the_keys(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for stem in ("ca", "master", "worker", "operator", "viewer"):
        assert stat.S_IMODE((folder / f"{stem}-key.pem").stat().st_mode) == 0o600
        assert (folder / f"{stem}.pem").is_file()
    assert len(list(folder.iterdir())) == 10, "no draft is left"


def test_every_role_can_use_them(folder: Path) -> None:
    """`Tls` checks them as strictly as Python 3.13 does, on every version."""
    for role in CertificateRole:
        Tls(folder, role).listening()
    for role in (CertificateRole.MASTER, CertificateRole.WORKER):
        for host in ("127.0.0.1", "::1", "localhost"):
            tls = Tls(folder, role, host=host)
        assert tls.expires_at == pytest.approx(time.time() + 100 * DAY, abs=3600)


def test_nothing_is_overwritten_without_a_word(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(StartError, match=r"holds ca.pem, .* already"):
        make_tls(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def renew(folder: Path, *hosts: str) -> None:
    made = run(
        "certs", "init", "--dir", str(folder), "--renew", *(f"--host={host}" for host in hosts)
    )
    assert made.exit_code == 0, made.stderr
    assert "replaced" in made.stdout
    assert "ca.pem" not in made.stdout.splitlines()[0]


def test_renewed_ones_are_of_the_same_ca_and_for_the_same_names(tmp_path: Path) -> None:
    made = make_tls(tmp_path / "tls", hosts=("10.0.0.5", "db.example"))
    ca = (made / "ca.pem").read_bytes(), (made / "ca-key.pem").read_bytes()
    old = (made / "master.pem").read_bytes()
    renew(made, "10.0.0.6")
    assert ((made / "ca.pem").read_bytes(), (made / "ca-key.pem").read_bytes()) == ca
    assert (made / "master.pem").read_bytes() != old
    for host in ("10.0.0.5", "db.example", "10.0.0.6", "localhost"):
        Tls(made, CertificateRole.MASTER, host=host)
    (made / "ca-key.pem").unlink()
    again = run("certs", "init", "--dir", str(made), "--renew")
    assert again.exit_code == 2
    assert "no CA" in again.stderr


def test_a_person_has_a_certificate_of_their_own_and_what_they_do_is_told_by_its_name(
    folder: Path, tmp_path: Path
) -> None:
    own = tmp_path / "ada"
    asked = ("certs", "issue", "Ada Lovelace", "--dir", str(folder), "--to", str(own))
    made = run(*asked)
    assert made.exit_code == 0, made.stderr
    assert {file.name for file in own.iterdir()} == {"ca.pem", "operator.pem", "operator-key.pem"}
    assert stat.S_IMODE((own / "operator-key.pem").stat().st_mode) == 0o600
    again = run(*asked)
    assert again.exit_code == 2
    assert "holds a certificate of the role operator already" in again.stderr
    with master_alone(tls=folder) as master:
        with AttachedCluster(str(master.address), tls=own) as cluster:
            assert cluster.clear()
        told = master.events.after(0)[-1].text
        assert told.endswith("(operator token, certificate 'Ada Lovelace')")


def test_the_certificate_of_a_viewer_with_a_name_steers_nothing(
    folder: Path, tmp_path: Path
) -> None:
    made = run(
        *("certs", "issue", "bob", "--role", "viewer", "--dir", str(folder), "--json"),
        *("--to", str(tmp_path)),
    )
    assert made.exit_code == 0, made.stderr
    with (
        master_alone(tls=folder) as master,
        AttachedCluster(str(master.address), tls=tmp_path) as cluster,
    ):
        assert cluster.snapshot().address == str(master.address)
        with pytest.raises(Forbidden, match="certificate of the role operator"):
            cluster.clear()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "no name for a certificate"),
        (" ada", "no name for a certificate"),
        ("a\nb", "no name for a certificate"),
        ("x" * 61, "no name for a certificate"),
        ("ada", "no CA"),
    ],
)
def test_what_is_no_name_and_who_has_no_ca_is_told(tmp_path: Path, name: str, said: str) -> None:
    ended = run("certs", "issue", name, "--dir", str(tmp_path), "--to", str(tmp_path / "own"))
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "a..b", "x" * 64])
def test_names_that_are_none(tmp_path: Path, host: str) -> None:
    with pytest.raises(StartError):
        make_tls(tmp_path / "tls", hosts=(host,))
    assert not (tmp_path / "tls").exists()


def test_what_is_wrong_with_a_folder_is_said(folder: Path, tmp_path: Path) -> None:
    def wrong(path: Path, role: CertificateRole | None, host: str = "") -> str:
        with pytest.raises(StartError, match="certs init") as told:
            Tls(path, role, host=host)
        return str(told.value)

    def copy(name: str, **files: str) -> Path:
        path = tmp_path / name
        shutil.copytree(folder, path)
        for to, source in files.items():
            shutil.copy(folder / f"{source}.pem", path / f"{to.replace('_', '-')}.pem")
        return path

    assert "ca.pem: no such file" in wrong(tmp_path, None)
    assert "for another address" in wrong(folder, CertificateRole.MASTER, "10.0.0.1")
    assert "for another name" in wrong(folder, CertificateRole.WORKER, "db.example")
    assert "key values mismatch" in wrong(
        copy("keys", master_key="worker-key"), CertificateRole.MASTER
    )
    rogue = copy("rogue", master="worker", master_key="worker-key")
    assert "is not a master's" in wrong(rogue, CertificateRole.MASTER)
    missing = copy("missing")
    (missing / "operator-key.pem").unlink()
    assert "operator-key.pem: no such file" in wrong(missing, CertificateRole.OPERATOR)
    shown = copy("shown")
    (shown / "master-key.pem").chmod(0o640)
    with pytest.raises(StartError, match=r"master-key\.pem can be read by others.*chmod 600"):
        Tls(shown, CertificateRole.MASTER)
    Tls(shown, CertificateRole.OPERATOR)
    (shown / "ca-key.pem").chmod(0o644)
    with pytest.raises(StartError, match=r"ca-key\.pem can be read by others.*chmod 600"):
        make_certificates(
            shown, hosts=(), days=9, now=datetime.datetime.now(datetime.UTC), renew=True
        )
    old = make_tls(tmp_path / "old", days=10, days_ago=11)
    assert "has expired" in wrong(old, CertificateRole.MASTER)
    other = make_tls(tmp_path / "other")
    shutil.copy(folder / "ca.pem", other / "ca.pem")
    assert "not from the cluster's CA" in wrong(other, CertificateRole.WORKER)


# -- expiry ------------------------------------------------------------------------------


def test_expiry_is_warned_of_once_a_day() -> None:
    watch = ExpiryWatch()
    end = 100 * DAY
    assert watch.due(None, 0.0, 0.0) == ""
    warned = [hour for hour in range(2424) if watch.due(end, hour * 3600.0, hour * 3600.0)]
    assert warned[0] == 70 * 24 + 1
    assert {later - sooner for sooner, later in itertools.pairwise(warned)} == {24}
    assert expiry(end, 0.0) == ""
    assert expiry(end, end - 29.5 * DAY) == "certificates expire in 29 days"
    assert expiry(end, end - 1.5 * DAY) == "certificates expire in 1 day"
    assert expiry(end, end) == "certificates have expired"


def test_a_clock_that_is_set_does_not_silence_the_warnings() -> None:
    watch = ExpiryWatch()
    end, day = 20 * DAY, 86400.0
    assert watch.due(end, 400 * day, 0.0).startswith("certificates have expired")
    assert watch.due(end, 0.0, 3600.0) == ""
    assert watch.due(end, day, day).startswith("certificates expire in 19 days")


def test_expiry_is_seen_in_time(tmp_path: Path) -> None:
    soon = make_tls(tmp_path / "tls", days=20)
    with master_alone(tls=soon) as master:
        poll_for(lambda: [e for e in master.events.after(0) if e.kind == "certificates"])
        shown = run("ps", "--master", str(master.address), "--tls", str(soon))
        assert "certificates expire in 19 days" in shown.stdout
        expires_at = master.snapshot().tls_expires_at
        assert expires_at == pytest.approx(time.time() + 20 * DAY, abs=3600)


def test_a_workers_certificate_counts_as_long_as_it_is_registered(
    folder: Path, tmp_path: Path
) -> None:
    with master_alone(tls=folder) as master:
        own = master.snapshot().tls_expires_at
        shorter = tmp_path / "shorter"
        shorter.mkdir()
        for name in ("ca.pem", "ca-key.pem"):
            shutil.copy(folder / name, shorter)
        now = datetime.datetime.now(datetime.UTC)
        make_certificates(shorter, hosts=(), days=10, now=now, renew=True)
        with worker_inside(master, tls=Tls(shorter, CertificateRole.WORKER)):
            expires_at = master.snapshot().tls_expires_at
            assert expires_at == pytest.approx(time.time() + 10 * DAY, abs=3600)
        poll_for(lambda: master.snapshot().tls_expires_at == own)


# -- who may do what -----------------------------------------------------------------------


def dial(
    address: tuple[str, int], folder: Path, own: CertificateRole | None, other: CertificateRole
) -> Lane:
    tls = Tls(folder, own)
    secure = tls.to_master() if other is CertificateRole.MASTER else tls.to_workers()
    return Lane.dial(*address, tls=secure, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("own", "may"),
    [
        (None, {"lookup"}),
        (CertificateRole.WORKER, {"lookup", "renew"}),
        (CertificateRole.OPERATOR, {"lookup", "renew", "snapshot"}),
        (CertificateRole.MASTER, {"lookup", "snapshot"}),
        (CertificateRole.VIEWER, {"lookup", "snapshot"}),
    ],
)
def test_a_token_is_not_enough(folder: Path, own: CertificateRole | None, may: set[str]) -> None:
    with (
        master_alone(tls=folder) as master,
        dial(master.address, folder, own, CertificateRole.MASTER) as lane,
    ):

        def code(verb: str, *args: str) -> str:
            reply = lane.call(verb, *args, timeout=PATIENCE)
            assert isinstance(reply, str)
            return decode_envelope(reply).code

        assert code("login", read_token() or "") == ""
        wanted = {"lookup": ("getbyname", "x"), "renew": (), "snapshot": ()}
        assert {v for v, args in wanted.items() if code(v, *args) != "forbidden"} == may


def test_who_has_a_viewer_s_certificate_sees_and_changes_nothing(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("ca.pem", "viewer.pem", "viewer-key.pem"):
        shutil.copy(folder / name, tmp_path / name)
    with master_alone(tls=folder) as master:
        address = str(master.address)
        for shown, look_only in ((tmp_path, False), (folder, True)):
            with AttachedCluster(address, tls=shown, look_only=look_only) as cluster:
                assert cluster.read_only
                assert cluster.snapshot().address == address
                with pytest.raises(Forbidden, match="certificate of the role operator"):
                    cluster.clear()
        told = poll_for(lambda: [one for one in master.events.after(0) if one.kind == "not_done"])
        assert told[0].text.endswith(
            "by an operator at 127.0.0.1 (operator token, certificate 'Rollcall viewer')"
        )
        with AttachedCluster(address, tls=folder) as cluster:
            assert cluster.clear()
            assert not cluster.read_only
        assert master.events.after(0)[-1].text.endswith("certificate 'Rollcall operator')")


def test_a_certificate_is_not_enough(folder: Path) -> None:
    with master_alone(tls=folder) as master:
        with dial(master.address, folder, CertificateRole.OPERATOR, CertificateRole.MASTER) as lane:
            reply = lane.call("snapshot", timeout=PATIENCE)
    assert isinstance(reply, str)
    with pytest.raises(Forbidden, match="token"):
        decode_envelope(reply).checked()


def test_a_worker_obeys_nobody_on_its_own_port(folder: Path) -> None:
    """Its master's orders come on the connection that it registered on."""
    tls = Tls(folder, CertificateRole.WORKER)
    with master_alone(tls=folder) as master, worker_inside(master, tls=tls) as worker:
        for own in (None, *CertificateRole):
            with dial(worker.server.address, folder, own, CertificateRole.WORKER) as lane:
                for verb in ("retire", "switch"):
                    with pytest.raises(RemoteFailure, match="no such verb"):
                        lane.call(verb, worker._access.instance, timeout=PATIENCE)
                assert isinstance(lane.call("suggest", "name", "x", timeout=PATIENCE), bytes)
        assert not worker.registration.done.is_set()


def test_a_client_that_asks_the_workers_itself(folder: Path) -> None:
    with master_alone(tls=folder) as master:
        with worker_inside(master, tls=Tls(folder, CertificateRole.WORKER)):
            poll_for(lambda: master.snapshot().workers[0].state == "up")
            with Client(str(master.address), tls=folder, direct=True) as client:
                assert client.getbyname("xander")


def test_a_worker_whose_certificate_is_for_another_address_cannot_register(
    folder: Path, tmp_path: Path
) -> None:
    """Its certificate is of the CA and of a worker."""
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("ca.pem", "ca-key.pem"):
        shutil.copy(folder / name, moved)
    now = datetime.datetime.now(datetime.UTC)
    make_certificates(moved, hosts=(), days=10, now=now, renew=True, local_hosts=("10.9.9.9",))
    moved_tls = Tls(moved, CertificateRole.WORKER)
    with master_alone(tls=folder) as master, worker_inside(master, tls=moved_tls) as worker:
        assert not worker.registration.ready
        assert "certificate is for another address" in str(worker.registration.refusal)


def test_a_worker_of_another_ca_cannot_register(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rollcall.worker")
    other = make_tls(tmp_path / "other")
    # It trusts the cluster's CA, and shows what is not from there.
    lying = Tls(folder, None)
    lying._client.load_cert_chain(other / "worker.pem", other / "worker-key.pem")
    with master_alone(tls=folder) as master:
        catalog = open_catalog(ensure_catalog(shipped_data()).path)
        worker = WorkerServer(catalog=catalog, master=master.address, token=read_token, tls=lying)
        worker.start()
        try:
            poll_for(lambda: "refuses our certificate: it is not from its CA" in caplog.text)
            assert not worker.registration.ready
        finally:
            worker.stop()
            catalog.close()
        assert master.snapshot().workers == ()


# -- a whole cluster -----------------------------------------------------------------------


def test_a_cluster_with_tls(folder: Path, tmp_path: Path) -> None:
    records = shipped_records()
    with hosted(2, tls=folder) as cluster:
        with Client(cluster.address, tls=folder) as client:
            assert client.getbyname("xander")
        with Client(cluster.address) as client, pytest.raises(MasterLost, match="uses TLS"):
            client.getbyname("xander")
        other = make_tls(tmp_path / "other")
        with Client(cluster.address, tls=other) as client:
            with pytest.raises(MasterLost, match="not from the cluster's CA"):
                client.getbyname("xander")
        with AttachedCluster(cluster.address, tls=folder) as operator:
            assert operator.spawn(1) == ["w3"]
            wait_up(cluster, 3)
            victim = cluster.snapshot().workers[0]
            kill_process(victim.pid)
            [result] = load_from_threads(
                cluster.address, clients=1, lookups=200, records=records, tls=folder
            )
            assert (result.errors, result.wrong, result.answers) == ([], [], 200)
            poll_for(lambda: len(up(cluster)) == 3)
            assert operator.kill("w3") == "w3 killed"
            wait_up(cluster, 2)
            assert operator.snapshot().tls_expires_at is not None
            told = [event.text for event in operator.events() if event.kind == "killed"]
            assert told == [
                "by an operator at 127.0.0.1 (operator token, certificate 'Rollcall operator')"
            ]


def test_a_reload_with_tls(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "p.csv").write_text("name,location,year\nann,here,2001\n")
    with hosted(1, tls=folder, data=data) as cluster, Client(cluster.address, tls=folder) as client:
        assert not client.getbyname("bob")
        (data / "p.csv").write_text("name,location,year\nbob,here,2001\n")
        pid = cluster.snapshot().workers[0].pid
        assert " to " in cluster.reload().text
        poll_for(lambda: client.getbyname("bob"))
        assert cluster.snapshot().workers[0].pid == pid, "it switched, and was not restarted"


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    """A command in this process: the same, without a second to start it."""
    return CliRunner().invoke(cli, words, env=env)


def test_the_commands(tmp_path: Path) -> None:
    made, client = tmp_path / "a folder", tmp_path / "client"
    assert f"--tls '{made}'" in run("certs", "init", "--dir", str(made)).stdout
    with Node("up", "--workers", "1", "--port", "0", "--tls", str(made), "--json") as node:
        options = ("--master", str(node.ready["master"]))
        listed = run("ps", *options, env={"ROLLCALL_TLS": str(made)})
        assert " up " in listed.stdout
        assert "expire" not in listed.stdout
        plain = run("ps", *options)
        assert plain.exit_code == 2
        assert "the peer uses TLS, and this end does not" in plain.stderr
        # A machine from which one only looks up holds nothing but the CA.
        client.mkdir()
        shutil.copy(made / "ca.pem", client)
        lookup = run("lookup", "getbyname", "xander", *options, "--tls", str(client))
        assert lookup.exit_code == 0
        steering = run("kill", "w1", *options, "--tls", str(client))
        assert steering.exit_code == 2
        assert "operator.pem: no such file" in steering.stderr


def test_a_command_with_tls_at_a_master_without(folder: Path) -> None:
    with master_alone() as master:
        refused = run("ps", "--master", str(master.address), "--tls", str(folder))
    assert refused.exit_code == 2
    assert "does it use TLS?" in refused.stderr
    assert "is it running" not in refused.stderr


def test_certificates_are_checked_before_anything_starts(folder: Path) -> None:
    refused = run_nodes("up", "--host", "10.0.0.1", "--port", "0", "--tls", str(folder))
    assert refused.returncode == 2
    assert "for another address" in refused.stderr


def test_what_insecure_gives_up_is_said(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    say_insecurity("127.0.0.1", None)
    say_insecurity("0.0.0.0", folder)
    assert capsys.readouterr().err == ""
    say_insecurity("0.0.0.0", None)
    assert capsys.readouterr().err.startswith("insecure: 0.0.0.0 is not encrypted; ")


def test_local_workers_listen_where_nobody_else_reaches_them() -> None:
    assert [beside(host) for host in ("127.0.0.1", "127.0.0.7", "localhost", "::1")] == [
        "127.0.0.1",
        "127.0.0.7",
        "localhost",
        "::1",
    ]
    assert [beside(host) for host in ("0.0.0.0", "10.0.0.1", "", "::", "fd00::1")] == [
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.1",
        "::1",
        "::1",
    ]
    assert [host for host in ("0.0.0.0", "::", "", "::1", "10.0.0.1") if is_wildcard(host)] == [
        "0.0.0.0",
        "::",
        "",
    ]
