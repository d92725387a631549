"""Curves: what they hold, how they are read and written."""

import io
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import clrcore
from cases import each
from clrcore import Curve
from clrcore.errors import TableError

anything = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def curves(draw):
    size = draw(st.integers(0, 20))
    rates = draw(hnp.arrays(float, size, elements=st.floats(0.0, 1e6)))
    metric = hnp.arrays(float, size, elements=anything)
    loss, accuracy = draw(st.one_of(st.none(), metric)), draw(st.one_of(st.none(), metric))
    if loss is None and accuracy is None:
        loss = draw(metric)
    return Curve(
        rates,
        loss,
        accuracy,
        steps_per_epoch=draw(st.one_of(st.none(), st.floats(0.1, 1e6))),
        updates=draw(st.one_of(st.none(), st.integers(1, 1000))),
        held_out=draw(st.sampled_from([None, True, False])),
    )


@given(curves())
def test_plain_data_and_pickles_bring_the_curve_back(curve):
    read = Curve.from_dict(json.loads(json.dumps(curve.to_dict(), allow_nan=False)))

    for twin in (read, pickle.loads(pickle.dumps(curve))):
        assert twin == curve
        assert hash(twin) == hash(curve)
        assert not twin.lr.flags.writeable


@given(curves())
def test_files_bring_the_numbers_back(curve):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "curve.csv")
        curve.to_csv(path)
        assert os.listdir(folder) == ["curve.csv"]
        read = Curve.from_csv(path, steps_per_epoch=curve.steps_per_epoch)

    assert np.array_equal(read.lr, curve.lr)
    assert np.array_equal(read.updates, curve.updates)
    for name in ("loss", "accuracy"):
        old, new = getattr(curve, name), getattr(read, name)
        assert (old is None) == (new is None)
        assert old is None or np.array_equal(old, new, equal_nan=True)
    assert read.held_out == (True if curve.held_out and curve.accuracy is not None else None)


def test_arrays_are_copies_that_cannot_change():
    lr, loss = np.array([0.1, 0.2]), np.array([1.0, 2.0])
    curve = Curve(lr, loss)
    lr[0] = loss[0] = 9.0

    assert (curve.lr[0], curve.loss[0]) == (0.1, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        curve.lr[0] = 1.0
    with pytest.raises(ValueError, match="cannot set WRITEABLE"):
        curve.lr.flags.writeable = True
    with pytest.raises(AttributeError, match="Curve is immutable"):
        curve.loss = None


def test_curves_differ_by_what_they_hold():
    same = [Curve([0.1, 0.2], loss=[1, math.nan]), Curve((0.1, 0.2), np.array([1.0, math.nan]))]
    other = [
        Curve([0.1, 0.2], accuracy=[1, math.nan]),
        Curve([0.1, 0.3], loss=[1, math.nan]),
        Curve([0.1, 0.2], loss=[1, 2]),
        Curve([0.1, 0.2], loss=[1, math.nan], sweep="linear"),
        Curve([0.1, 0.2], loss=[1, math.nan], held_out=True),
        Curve([0.1, 0.2], loss=[1, math.nan], steps_per_epoch=2),
        Curve([0.1, 0.2], loss=[1, math.nan], updates=2),
    ]

    assert same[0] == same[1]
    assert len({*same, *other}) == 1 + len(other)
    assert same[0] != "a curve"


@each(
    ("lr", "sweep"),
    [
        (np.linspace(0.0, 1.0, 300), "linear"),
        (np.linspace(0.001, 0.02, 40), "linear"),
        (np.geomspace(1e-7, 10, 100), "exponential"),
        (np.geomspace(1e-2, 1.0, 40).round(3), "exponential"),
        ((np.arange(300) + 1) / 300 * 0.1, "linear"),
        (np.linspace(0, 0.1, 300).round(4), "linear"),
        (np.linspace(1e-4, 1e-2, 300).round(4), "linear"),
        (np.linspace(0.0, 0.02, 4000).round(5), "linear"),
        (np.array([float(f"{x:.1e}") for x in np.geomspace(1e-6, 1.0, 300)]), "exponential"),
        (np.array([float(f"{x:.6f}") for x in np.geomspace(1e-6, 1.0, 300)]), "exponential"),
        (np.repeat(np.linspace(0.1, 1.0, 10), 35), "linear"),
        (np.r_[np.geomspace(1e-5, 1.0, 100), 1.0, 1.0], "exponential"),
        (np.array([0.1, 0.2]), None),
        (np.array([0.1, 0.3, 0.2]), None),
        (np.array([0.1, 0.1, 0.1]), None),
        (np.array([0.0, 0.001, 0.01, 0.1, 1.0]), None),
        (np.array([]), None),
    ],
)
def test_the_sweep_is_inferred_from_the_rates(lr, sweep):
    assert Curve(lr, loss=np.ones(lr.size)).sweep == sweep


@each(
    ("arguments", "kind", "message"),
    [
        ({"lr": [0.1, math.nan]}, ValueError, r"lr\[1\] must be a finite number >= 0, got nan"),
        ({"lr": [math.inf, 0.1]}, ValueError, r"lr\[0\] must be a finite number >= 0, got inf"),
        ({"lr": [0.1, -0.1]}, ValueError, r"lr\[1\] must be a finite number >= 0, got -0.1"),
        ({"lr": np.full((1, 2), 0.1)}, ValueError, r"lr must be 1-D, not of shape \(1, 2\)"),
        ({"lr": [[0.1, 0.2]]}, ValueError, "lr must be 1-D, without lists in it"),
        ({"lr": 0.1}, ValueError, "lr must be 1-D"),
        ({"lr": [[0.1], [0.1, 0.2]]}, ValueError, "lr must be 1-D"),
        (
            {"lr": ["a", "b"]},
            TypeError,
            r"lr must be a 1-D array of numbers.*; lr\[0\] is text, 'a'",
        ),
        ({"lr": [True, False]}, TypeError, "lr must be a 1-D array of numbers"),
        ({"loss": [1.0]}, ValueError, "loss must have as many values as lr, 2, got 1"),
        ({"loss": [1j, 1j]}, TypeError, "loss must be a 1-D array of numbers"),
        ({"accuracy": [1.0] * 3}, ValueError, "accuracy must have as many values as lr, 2, got 3"),
        ({"loss": None}, TypeError, r"a Curve needs loss=..., accuracy=..., or both; got neither"),
        ({"sweep": "cosine"}, ValueError, "sweep must be one of 'linear', 'exponential'"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be a finite number > 0"),
        ({"held_out": "no"}, TypeError, "held_out must be True or False"),
        ({"updates": 0}, ValueError, "updates must be an integer from 1 to"),
        ({"updates": True}, TypeError, "updates must be an integer from 1 to"),
        ({"updates": 2**53}, ValueError, "updates must be an integer from 1 to"),
        ({"updates": [1]}, ValueError, "updates must have as many values as lr, 2, got 1"),
        ({"updates": [1, 1]}, ValueError, "updates must be integers >= 0 that rise"),
        ({"updates": [-1, 1]}, ValueError, "updates must be integers >= 0 that rise"),
        ({"updates": np.uint32([5, 2])}, ValueError, "updates must be integers >= 0 that rise"),
        ({"updates": [0, True]}, TypeError, "updates must be a 1-D array of numbers, none True"),
        ({"loss": [0.5, np.True_]}, TypeError, "loss must be a 1-D array of numbers, none True"),
        ({"updates": [0, 1.5]}, ValueError, "updates must be integers >= 0 that rise"),
        ({"updates": ["a", "b"]}, TypeError, "updates must be a 1-D array of numbers"),
        ({"updates": [0, 2**60]}, ValueError, "updates must be integers >= 0 that rise"),
    ],
)
def test_bad_arguments_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        Curve(**{"lr": [0.1, 0.2], "loss": [1.0, 2.0]} | arguments)


DATA = Curve([0.1, 0.2], loss=[1.0, math.inf]).to_dict()


@each(
    ("change", "kind", "message"),
    [
        ({"version": 2}, ValueError, "data has version 2"),
        ({"lr": "abc"}, TypeError, "lr must be a list of numbers"),
        ({"lr": [0.1, None]}, ValueError, r"lr\[1\] must be a finite number"),
        ({"loss": [1.0, "huge"]}, ValueError, r"loss\[1\] must be a number, \"nan\""),
        ({"sweep": "cosine"}, ValueError, "sweep must be"),
        ({"more": 1}, ValueError, "data has unknown 'more'"),
        ({"updates": [1, 0]}, ValueError, "updates must be integers >= 0 that rise"),
    ],
)
def test_wrong_data_are_refused(change, kind, message):
    with pytest.raises(kind, match=message):
        Curve.from_dict(DATA | change)


@pytest.mark.parametrize("updates", [None, 5])
def test_a_data_frame_has_the_columns_of_the_table(updates, tmp_path):
    pandas = pytest.importorskip("pandas")
    curve = Curve([0.001, 0.1], loss=[1, math.nan], accuracy=[0, 1], held_out=True, updates=updates)
    curve.to_csv(tmp_path / "curve.csv")
    pandas.testing.assert_frame_equal(curve.to_pandas(), pandas.read_csv(tmp_path / "curve.csv"))


def test_a_missing_pandas_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"Curve\.to_pandas needs pandas"):
        Curve([0.1], loss=[1]).to_pandas()


def test_a_notebook_shows_a_table_of_text():
    curve = Curve([0.001, 0.01, 0.1], loss=[3, 2, 1], updates=5)
    assert curve._repr_html_() == (
        "<table><tr><th>points</th><td>3</td></tr><tr><th>updates</th><td>15</td></tr>"
        "<tr><th>lr</th><td>0.001 to 0.1</td></tr><tr><th>loss</th><td>3 to 1</td></tr>"
        "<tr><th>sweep</th><td>exponential</td></tr></table>"
    )
    assert "lr" not in Curve([], loss=[])._repr_html_()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Curve([0.1], loss=[1]), r"clr_adapters\.plot\.plot_range_test\(curve\)"),
        (clrcore.constant(0.1), r"clr_adapters\.plot\.plot_policy\(policy\)"),
    ],
    ids=repr,
)
def test_plot_leads_on_to_the_function_that_draws(value, words):
    assert not hasattr(value, "plot")
    with pytest.raises(AttributeError, match=words):
        value.plot()


def test_the_repr_tells_what_is_there():
    curve = Curve([0.001, 0.01, 0.1], loss=[1, 2, 3], accuracy=[0, 0, 1])

    assert repr(curve) == "Curve(3 points, loss and accuracy, lr 0.001 to 0.1, sweep='exponential')"
    assert repr(Curve([], loss=[])) == "Curve(0 points, loss, empty, sweep=None)"
    sparse = Curve([0.1, 0.2], loss=[2, 1], updates=[10, 30])
    assert repr(sparse) == "Curve(2 points in 40 updates, loss, lr 0.1 to 0.2, sweep=None)"


def test_smoothing_has_no_lag():
    lr = np.geomspace(1e-4, 1.0, 200)
    loss = 2.0 - np.tanh(np.log10(lr / 1e-2) * 2)
    noisy = loss + 0.1 * np.random.default_rng(0).standard_normal(200)

    assert np.abs(Curve(lr, loss=noisy).smoothed() - loss).max() < 0.15


def test_nothing_is_smoothed_over_a_blow_up():
    lr = np.geomspace(1e-4, 1.0, 40)
    loss = np.where(np.arange(40) < 31, 1.0, [1.0, math.inf] * 20)
    loss[7] = math.nan  # one that is missing
    accuracy = np.where(np.arange(40) % 3, math.nan, 0.5)
    curve = Curve(lr, loss, accuracy)

    assert np.isnan(curve.smoothed("loss")).tolist() == [False] * 31 + [True] * 9
    assert np.isnan(curve.smoothed("accuracy")).tolist() == [False] * 31 + [True] * 9
    alone = Curve(lr, accuracy=accuracy)
    assert alone.smoothed("accuracy") == pytest.approx([0.5] * 40)


def test_only_what_was_recorded_is_smoothed():
    curve = Curve([0.1, 0.2], loss=[1, 2])

    with pytest.raises(
        ValueError, match="metric must be a metric that was recorded, got 'accuracy'"
    ):
        curve.smoothed("accuracy")
    with pytest.raises(ValueError, match="metric must be one of 'loss', 'accuracy'"):
        curve.smoothed("error")


def read(text, **options):
    return Curve.from_csv(io.StringIO(textwrap.dedent(text)), **options)


def test_other_tools_files_are_read():
    curve = read(
        """\

        epoch, Train_Loss ,val_acc,Learning_Rate,note
        0,2.3,0.1,1e-3,"a, b"
        0,nan,,1e-2,

        1,Infinity,0.3,1e-1,c
        """
    )

    assert curve.lr.tolist() == [1e-3, 1e-2, 1e-1]
    assert (curve.loss[0], curve.loss[2]) == (2.3, math.inf)
    assert np.isnan(curve.loss[1])
    assert np.isnan(curve.accuracy[1])
    assert (curve.held_out, curve.sweep) == (True, "exponential")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_are_separated_by_what_the_header_uses(delimiter):
    text = "lr,acc\n0.1,0.5\n0.2,0.6\n".replace(",", delimiter)

    assert read(text).accuracy.tolist() == [0.5, 0.6]
    assert read(text).held_out is None


def test_a_header_may_stand_in_a_comment_above_the_numbers():
    for text in ("# loss, lr\n2,0.1\n1,0.2\n", "# loss lr\n2 0.1\n1 0.2\n"):
        assert read(text).lr.tolist() == [0.1, 0.2]
    for text in ("0.1,2\n0.2,1\n", "# 5, 6\n0.1,2\n0.2,1\n", "# a\n0.1,2\n0.2,1\n"):
        assert read(text).lr.tolist() == [0.1, 0.2]


def test_tables_of_other_languages_and_libraries_are_read():
    """Decimal commas, names of rows without a header, and the rates of groups in a cell."""
    for text in (
        "lr;loss\n0,1;2,5\n0,2;1\n",
        "loss lr\n0 2.5 0.1\n1 1 0.2\n",
        'lr,loss\n"[0.1, 0.1]",2.5\n[0.2],1\n',
    ):
        assert read(text) == Curve([0.1, 0.2], [2.5, 1.0])


@each("name", ["val/loss", "Loss/val", "loss_val", "run-7 - val/loss"])
def test_the_split_of_a_metric_may_stand_anywhere(name):
    assert read(f"lr/pg1,{name},acc\n0.1,2,0.5\n").loss.tolist() == [2.0]


def test_rates_are_those_of_the_optimizer_and_not_its_momentum():
    assert read("lr_SGD_momentum,lr_SGD,loss\n0.9,0.1,2\n0.9,0.2,1\n").lr.tolist() == [0.1, 0.2]


def test_percentages_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match="got '5%'; write it without the sign"):
        read("lr,accuracy\n0.1,5%\n")


def test_lines_and_cells_that_say_nothing_are_left_out():
    curve = read(
        """\
        # made by a tool, 2 columns
        "Learning Rate", "Train Loss", valid-acc
        0.001, 2.3, NA
        # half way
        0.01, None, 0.5
        ,,
        0.1, 0.7, null
        """
    )

    assert curve.lr.tolist() == [0.001, 0.01, 0.1]
    assert np.isnan(curve.loss).tolist() == [False, True, False]
    assert np.isnan(curve.accuracy).tolist() == [True, False, True]
    assert curve.held_out is True


class Reads:
    def __init__(self, content):
        self.read = lambda: content


@each("source", [5, None, ["lr,loss"], Reads(None), Reads(bytearray(b"lr"))])
def test_what_is_no_file_is_refused(source):
    with pytest.raises(TypeError, match="path must be a path, or an open file of text or bytes"):
        Curve.from_csv(source)


def test_column_names_are_strings():
    with pytest.raises(TypeError, match="lr must be a column's name or None, got 5"):
        read("lr,loss\n0.1,1\n", lr=5)


def test_open_files_of_text_and_of_bytes_are_read():
    content = "\ufefflr,loss\n0.1,1\n0.2,2\n"

    for source in (io.StringIO(content), io.BytesIO(content.encode())):
        assert Curve.from_csv(source).loss.tolist() == [1.0, 2.0]


def test_other_encodings_name_the_line(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("lr,loss\n0.1,1\n0.2,2\xb5\n".encode("latin-1"))

    with pytest.raises(ValueError, match=r"latin\.csv, line 3: not UTF-8 text"):
        Curve.from_csv(path)


def test_columns_can_be_named():
    text = "rate of update,batch,eval_top1\n0.1,1.5,0.5\n0.2,1.25,0.75\n"
    curve = read(text, lr="Rate of update", loss="batch", accuracy="eval_top1", held_out=True)

    assert curve.loss.tolist() == [1.5, 1.25]
    assert curve.accuracy.tolist() == [0.5, 0.75]
    assert curve.held_out is True


def test_files_may_begin_with_a_byte_order_mark_and_end_lines_anyhow(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_bytes(b"\xef\xbb\xbflr,loss\r\n0.1,1\r\n0.2,2\r\n")

    assert Curve.from_csv(path).loss.tolist() == [1.0, 2.0]
    assert Curve.from_csv(str(path)).loss.tolist() == [1.0, 2.0]


@each(
    ("text", "message"),
    [
        ("", "line 1: the file is empty"),
        ("\n\n", "line 1: the file is empty"),
        ("lr,loss\n0.1,1\n0.2,big\n", "line 3: loss must be a number, got 'big'"),
        ("lr,loss\n0.1,1\n\n,2\n", "line 4: lr must be a number, got ''"),
        ("lr,loss\nnan,1\n", "line 2: lr must be a finite number >= 0, got 'nan'"),
        ("lr,loss\n-1,1\n", "line 2: lr must be a finite number >= 0, got '-1'"),
        ("lr,loss\n0.1,1,5\n", "line 2: 3 cells, but the header has 2"),
        ("lr,loss\n0.1\n", "line 2: 1 cells, but the header has 2"),
        (
            "loss,time\n1,2\n",
            "line 1: no column of rates .lr, learning_rate.* among 'loss', 'time'",
        ),
        ("lr,time\n1,2\n", "line 1: no column of losses or accuracies"),
        ('lr,loss\n0.1,"1\n', "line 2: "),
        ("0.001,2.3,1\n0.01,1.1,2\n", "line 1: no header: the first line must name the columns"),
        ("lr,lr,loss\n1,2,3\n", "line 1: more than one column for lr: 'lr', 'lr'"),
        ("lr,loss\n0.1,1_0\n", "line 2: loss must be a number, got '1_0'"),
    ],
)
def test_malformed_files_name_the_line(text, message):
    with pytest.raises(ValueError, match=message):
        read(text)


def test_malformed_files_on_disk_are_named_too(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("lr,loss\n0.1,x\n")

    with pytest.raises(ValueError, match=r"bad\.csv, line 2: loss must be a number, got 'x'"):
        Curve.from_csv(path)
    with pytest.raises(FileNotFoundError):
        Curve.from_csv(tmp_path / "none.csv")


def test_columns_asked_for_must_be_there():
    with pytest.raises(ValueError, match="line 1: no column 'top1' for accuracy; the columns are"):
        read("lr,loss\n0.1,1\n", accuracy="top1")


def test_cells_beyond_the_limit_of_csv_name_the_line():
    with pytest.raises(ValueError, match="line 2: field larger than field limit"):
        read("lr,loss\n0.1," + "1" * 200_000 + "\n")


@pytest.mark.skipif(sys.platform == "win32", reason="links and modes of Unix")
def test_writing_keeps_links_modes_and_pipes(tmp_path):
    curve = Curve([0.1], loss=[1.0])
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    link.symlink_to(real)
    umask = os.umask(0o022)
    try:
        curve.to_csv(link)
    finally:
        os.umask(umask)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    curve.to_csv(pipe)

    assert reader.communicate(timeout=10)[0].split() == ["lr,loss", "0.1,1.0"]
    assert link.is_symlink()
    assert Curve.from_csv(real) == curve
    assert real.stat().st_mode & 0o777 == 0o644
    real.chmod(0o600)
    curve.to_csv(real)
    assert real.stat().st_mode & 0o777 == 0o600
    assert not os.path.isfile(pipe)


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "curve.csv"
    path.mkdir()
    (tmp_path / "old.csv").write_text("old")

    with pytest.raises(OSError):  # noqa: PT011 - which one depends on the system
        Curve([0.1], loss=[1.0]).to_csv(path)
    with pytest.raises(FileNotFoundError):
        Curve([0.1], loss=[1.0]).to_csv(tmp_path / "none" / "curve.csv")
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Curve([0.1], loss=[1.0]).to_csv(tmp_path / "old.csv")

    assert sorted(os.listdir(tmp_path)) == ["curve.csv", "old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"


def test_a_held_out_loss_serves_where_there_is_no_other():
    assert read("lr,val_loss\n0.1,2\n0.2,1\n").loss.tolist() == [2.0, 1.0]
    assert read("lr,val_loss,loss\n0.1,2,3\n0.2,1,4\n").loss.tolist() == [3.0, 4.0]


def test_what_is_masked_is_missing():
    loss = np.ma.masked_array([1, 2, 3], mask=[False, True, False])
    assert Curve([0.1, 0.2, 0.3], loss=loss) == Curve([0.1, 0.2, 0.3], loss=[1.0, np.nan, 3.0])


def test_two_writers_of_one_file_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / ("c" * 246 + ".csv")  # as long as a name may be, nearly
    replace = os.replace

    def replace_after_another(*paths):
        monkeypatch.setattr(os, "replace", replace)
        Curve([0.2], loss=[2.0]).to_csv(path)
        replace(*paths)

    monkeypatch.setattr(os, "replace", replace_after_another)
    Curve([0.1], loss=[1.0]).to_csv(path)

    assert Curve.from_csv(path) == Curve([0.1], loss=[1.0])
    assert os.listdir(tmp_path) == [path.name]


def interrupt(*paths):
    raise KeyboardInterrupt


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process by a signal")
def test_a_writer_killed_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "curve.csv"
    Curve([0.1], loss=[1.0]).to_csv(path)
    program = """
        import os, signal, sys
        import clrcore, csv
        class Writer:
            def __init__(self, file): self.file = file
            def writerow(self, row): self.file.write("half")
            def writerows(self, rows):
                self.file.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        csv.writer = Writer
        clrcore.Curve([0.5] * 9, loss=[9.0] * 9).to_csv(sys.argv[1])
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program), str(path)], check=False)

    assert ended.returncode == -signal.SIGKILL
    assert Curve.from_csv(path) == Curve([0.1], loss=[1.0])


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_full_disk_or_a_read_only_folder_is_named_and_leaves_the_old_file():
    from disks import faults

    assert faults("curve", 20, seed=0)[1] == []


def test_the_range_tests_curve_is_one():
    test = clrcore.RangeTest(clrcore.linear_sweep(0.0, 1.0, 3))
    for _ in test:
        test.record(loss=1.0)

    assert test.curve == Curve([0.0, 0.5, 1.0], loss=[1.0] * 3, sweep="linear")


def test_updates_are_counted_not_points():
    lr = [0.1, 0.2, 0.3]

    assert Curve(lr, loss=lr).updates.tolist() == [0, 1, 2]
    assert Curve(lr, loss=lr, updates=50).updates.tolist() == [0, 50, 100]
    assert Curve(lr, loss=lr, updates=50).num_updates == 150
    uneven = Curve(lr, loss=lr, updates=np.array([9, 19, 49]))
    assert (uneven.updates.tolist(), uneven.num_updates) == ([9, 19, 49], 60)
    assert not uneven.updates.flags.writeable
    assert (Curve([0.1], loss=[1], updates=9).num_updates, Curve([], loss=[]).num_updates) == (1, 0)


def test_dictionaries_without_updates_are_read():
    with pytest.raises(TypeError, match="data must be a dictionary"):
        Curve.from_dict([])
    data = Curve([0.1, 0.2], loss=[1, 2]).to_dict()
    assert data.pop("updates") is None
    assert Curve.from_dict(data) == Curve([0.1, 0.2], loss=[1, 2])


@each("column", ["updates", "update", "Global_Step", "_step", "step", "iteration", "iter"])
def test_a_column_of_updates_is_read_where_it_rises(column):
    text = f"{column},lr,loss\n49,0.1,1\n99,0.2,2\n"

    assert read(text).updates.tolist() == [49, 99]
    assert read(text, updates=7).updates.tolist() == [0, 7]
    assert read(text.replace("99", "49")).updates.tolist() == [0, 1]
    assert read(text.replace("49", "49.5")).updates.tolist() == [0, 1]
    with pytest.raises(TableError, match="updates must be whole numbers that rise"):
        read(text.replace("99", "49"), updates=column)


RECORDS = [
    {"epoch": 0.1, "learning_rate": 1e-4, "loss": 2.5, "step": 10},
    {"eval_runtime": 3.5, "step": 10},
    {"learning_rate": 1e-3, "loss": None, "step": 20},
    {"learning_rate": "1e-2", "loss": np.float32(1.5), "step": 30},
    {"train_runtime": 60.0},
]


def test_records_are_read():
    curve = Curve.from_records(RECORDS)

    assert curve.lr.tolist() == [1e-4, 1e-3, 1e-2]
    assert curve.updates.tolist() == [10, 20, 30]
    assert np.array_equal(curve.loss, [2.5, math.nan, 1.5], equal_nan=True)
    named = Curve.from_records(
        [{"Rate": 0.1, "top1": 0.5}], lr="rate", accuracy="top1", held_out=True, updates=5
    )
    assert (named.accuracy.tolist(), named.held_out) == ([0.5], True)
    assert Curve.from_records([{"lr": 0.1, "val_acc": 1}]).held_out is True


@each(
    ("records", "kind", "message"),
    [
        ({"lr": [1]}, TypeError, "records must be a list of dictionaries"),
        ([{"lr": 1}, [1]], TypeError, r"records\[1\] must be a dictionary with names as keys"),
        ([{1: 1}], TypeError, r"records\[0\] must be a dictionary with names as keys"),
        ([], TableError, "the list holds no records"),
        ([{"a": 1, "loss": 2}], TableError, "no column of rates"),
        ([{"lr": 0.1, "loss": 1.0}, {"loss": 1.0}], TableError, "record 2: lr must be .*; rate"),
        ([{"lr": 1, "loss": [2, 3]}], TableError, r"record 1: loss must be a .*, got \[2, 3\]"),
        ([{"lr": 1, "loss": True}], TableError, "record 1: loss must be a number, got True"),
    ],
)
def test_records_that_cannot_be_read_are_named(records, kind, message):
    with pytest.raises(kind, match=message):
        Curve.from_records(records)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("lr,loss\n0.1,1\n0.2,x\n", (3, "loss", "loss must be a number, got 'x'")),
        ("loss\n1\n", (1, "lr", None)),
        ("lr,loss\n0.1\n", (2, None, "1 cells, but the header has 2")),
        ("lr;loss\n0,1;2.5\n", (2, "lr", None)),
    ],
)
def test_errors_carry_file_line_and_column(tmp_path, text, facts):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TableError) as caught:
        Curve.from_csv(path)
    error = caught.value
    line, column, problem = facts
    assert (error.file, error.line, error.column) == (str(path), line, column)
    assert problem is None or error.problem == problem
    assert str(error) == f"{path}, line {line}: {error.problem}"


@each(
    ("text", "advice"),
    [
        ("lr;loss\n0,1;2.5\n", "write decimals with a point"),
        ("lr,loss\n0,1,2\n", "if these are decimals with a comma, write them with a point"),
        ("lr,loss\n,2\n", "rate and loss must be in the same line"),
        ("Wall time,Step,Value\n1,2,3\n", "TensorBoard exports one file per scalar"),
    ],
)
def test_errors_say_what_to_do(text, advice):
    with pytest.raises(TableError, match=advice):
        read(text)


def test_messages_are_short_however_wide_the_table_is():
    wide = ",".join(f"column{i}" for i in range(10**4))
    with pytest.raises(TableError) as caught:
        read(f"{wide}\n")
    assert len(str(caught.value)) < 1000
    with pytest.raises(TableError) as caught:
        read("lr,loss\n0.1," + "x" * 5000)
    assert len(str(caught.value)) < 1000


def test_names_that_tools_write_are_understood():
    curve = read(
        "Step,run-7 - lr-SGD,run-7 - val/acc,run-7 - train/loss,run-7 - train/loss__MIN\n"
        "0,0.1,0.5,2,1\n1,0.2,0.6,1,1\n"
    )

    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.1, 0.2], [2.0, 1.0])
    assert (curve.accuracy.tolist(), curve.held_out) == ([0.5, 0.6], True)


def test_a_table_of_two_columns_needs_no_header():
    assert read("0.1,2\n0.2,1\n") == Curve([0.1, 0.2], loss=[2.0, 1.0])


def test_rates_and_losses_on_different_lines_of_a_step_are_joined():
    rows = "step,lr,loss\n0,0.1,\n10,,2.0\n10,0.2,\n20,0.3,\n20,,1.0\n30,,0.5\n,,0.1\n"
    curve = read(rows)

    assert (curve.lr.tolist(), curve.loss.tolist()) == ([0.2, 0.3], [2.0, 1.0])
    assert curve.updates.tolist() == [10, 20]
    with pytest.raises(TableError, match="no step has a rate"):
        read("step,lr,loss\n0,0.1,\n1,,2.0\n")


def test_curves_and_bounds_are_immutable():
    curve = Curve([0.1, 0.2], loss=[1.0, 2.0])
    with pytest.raises(AttributeError, match="cannot set 'loss'"):
        curve.loss = None
    with pytest.raises(AttributeError, match="cannot delete 'loss'"):
        del curve.loss


def test_records_may_hold_arrays_of_no_dimension():
    records = [
        {"step": np.array(k), "lr": np.array(0.1 * k), "loss": np.array(2.0, "float32")}
        for k in range(3)
    ]
    assert Curve.from_records(records).loss.tolist() == [2.0] * 3
    with pytest.raises(TableError, match="record 1: loss must be a number"):
        Curve.from_records([{"lr": 0.1, "loss": np.array(True)}])


def test_tensors_that_are_no_numbers_yet_are_refused_with_what_to_record():
    class Tensor:
        def __array__(self, *_, **__):
            raise RuntimeError("can't call numpy() on a tensor that requires grad")

    with pytest.raises(TypeError, match=r"loss must be a 1-D array of numbers.* loss\.item\(\)"):
        Curve([0.1], Tensor())


def test_a_rate_may_be_named_after_its_group():
    curve = Curve.from_csv(io.StringIO("step,optimizer/lr_head,loss\n0,0.1,2\n1,0.2,1\n"))
    assert curve.lr.tolist() == [0.1, 0.2]


def test_a_refusal_carries_the_rows_of_different_lengths():
    rows = [[0.1], [0.1, 0.2]]
    with pytest.raises(ValueError, match="lr must be 1-D") as caught:
        Curve(rows)
    assert caught.value.got is rows
