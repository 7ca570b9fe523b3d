"""What is generated from the code: `make docs` writes it, `tests/project/test_generated.py` holds the files against it."""

import inspect
import json
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel

from alx import errors, plan
from alx.bundle.approval import ApprovalFile
from alx.bundle.closing import Closing
from alx.bundle.description import Description
from alx.bundle.groups import ParityFile
from alx.bundle.identity import IdentityFile
from alx.bundle.manifest import Version1, Version2, Version3, Version4
from alx.bundle.receipt import ReceiptFile
from alx.bundle.request import RequestFile
from alx.bundle.rotation import RotationFile
from alx.bundle.share import ShareFile
from alx.cli.main import COMMANDS, cli
from alx.plan import Plan
from alx.report.page.content import Report
from alx.site.entries import EVENTS
from alx.site.site_file import SiteFile
from alx.study.results import Results
from alx.transforms import KINDS
from alx.upkeep.backup import BackupFile
from tests import faults

ROOT = Path(__file__).parent.parent
THREATS = ROOT / "docs" / "threat-model.md"
WRITTEN = "<!-- made by `make docs` from the code and from tests/generated.py: edit there -->\n\n"
SCHEMAS: dict[str, type[BaseModel]] = {
    "manifest": Version4,
    "manifest-v3": Version3,
    "manifest-v2": Version2,
    "manifest-v1": Version1,
    "closing": Closing,
    "plan": Plan,
    "identity": IdentityFile,
    "description": Description,
    "request": RequestFile,
    "parity": ParityFile,
    "share": ShareFile,
    "rotation": RotationFile,
    "approval": ApprovalFile,
    "receipt": ReceiptFile,
    "backup": BackupFile,
    "site": SiteFile,
    "results": Results,
    "report": Report,
}


def schema(model: type[BaseModel]) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | model.model_json_schema(mode="validation")


def cli_page() -> str:
    parts = [WRITTEN, "# Commands\n\nThe site is the current folder or the nearest above it; or `--site`; or `ALX_SITE`.\n"]
    parent = click.Context(cli, info_name="alx", terminal_width=100, max_content_width=100)
    for name in COMMANDS:
        command = cli.get_command(parent, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
        parts.append(f"\n## alx {name}\n\n```text\n{command.get_help(context)}\n```\n")
        for inner, one in getattr(command, "commands", {}).items():
            context_of_one = click.Context(one, info_name=inner, parent=context, terminal_width=100, max_content_width=100)
            parts.append(f"\n## alx {name} {inner}\n\n```text\n{one.get_help(context_of_one)}\n```\n")
    parts.append(
        "\n## Exit codes\n\n"
        "Errors are one line on stderr, `alx: error: …`, and where there is a remedy a line `hint: …`.\n\n"
        "| code | class | meaning |\n|---|---|---|\n"
        "| 0 | | done, or done already |\n| 1 | | a bug: please report the traceback |\n"
    )
    parts += [f"| {c.exit_code} | `{c.__name__}` | {c.__doc__} |\n" for c in classes() if c is not errors.AlxError]
    parts.append("| 130 | | stopped by hand; the same command goes on |\n")
    return "".join(parts)


def events_page() -> str:
    said = {kind: inspect.getdoc(made).partition("\n\nAttributes")[0].split() for kind, made in EVENTS.items()}
    rows = "".join(f"| `{kind}` | {words[0].lower()} {' '.join(words[1:]).rstrip('.')} |\n" for kind, words in said.items())
    return (
        f"{WRITTEN}# Events\n\n"
        "A site's security log, `events.sqlite`: what its commands did, and what they refused and why. It is\n"
        "append-only, and each event is chained to the last by hash, like the ledger's entries\n"
        "([format.md](format.md)). `alx audit SITE` verifies and prints it; `alx audit SITE --json` gives all of\n"
        "it to another program.\n\n"
        "Every event has `at`, the time by the machine's own clock, in UTC: it is for people, and nothing in alx\n"
        "depends on it. What the ledger records is recorded here as well, with `entry`, its digest there; where a\n"
        "command was killed between the two, the next one catches up. A ledger that lacks what the log has is an\n"
        "old one, and every command refuses it. A refusal stands in the log alone: it leaves the ledger as it was.\n\n"
        f"| event | what it says |\n|---|---|\n{rows}"
    )


def classes() -> list[type[errors.AlxError]]:
    """The tree of refusals, parents before children, in the order of the exit codes."""

    def below(c: type[errors.AlxError]) -> list[type[errors.AlxError]]:
        return [c, *(x for s in c.__subclasses__() for x in below(s))]

    return sorted(below(errors.AlxError), key=lambda c: c.exit_code)


WORDS = {"integer": "whole number", "boolean": "true or false", "string": "text", "object": "table", "array": "list"}


def _kind(spec: dict[str, Any]) -> str:
    """A field's type in words."""
    out = WORDS.get(spec.get("type", ""), spec.get("type", "any"))
    if "enum" in spec or "const" in spec:
        out = " or ".join(f"`{json.dumps(v)}`" for v in spec.get("enum", [spec.get("const")]))
    elif "$ref" in spec:
        name = spec["$ref"].rsplit("/", 1)[1]
        out = f"table [{name}](#{name.lower()})"
    elif "anyOf" in spec:
        kinds = [_kind(s) for s in spec["anyOf"] if s.get("type") != "null"]
        scalar = {"true or false", "whole number", "number", "text"}
        out = ", or ".join(
            (["value"] if scalar <= set(kinds) else []) + [k for k in kinds if not scalar <= set(kinds) or k not in scalar]
        )
    elif "items" in spec:
        out = f"list of {_kind(spec['items'])}"
    elif isinstance(spec.get("additionalProperties"), dict):
        out = f"table of {_kind(spec['additionalProperties'])} by name"
    return out


def _fields(title: str, spec: dict[str, Any]) -> str:
    rows = [f"\n## {title}\n\n{spec.get('description', '')}\n\n| field | value | default | meaning |\n|---|---|---|---|\n"]
    for name, field in spec["properties"].items():
        default = "needed" if name in spec.get("required", []) else f"`{json.dumps(field.get('default'))}`"
        default = "" if default == "`null`" else default
        rows.append(f"| `{name}` | {_kind(field)} | {default} | {field.get('description', '')} |\n")
    return "".join(rows)


def fields_page(model: type[BaseModel], head: str) -> str:
    whole = model.model_json_schema()
    parts = [_fields(model.__name__, whole)]
    parts += [_fields(name, spec) for name, spec in whole.get("$defs", {}).items() if "properties" in spec]
    return WRITTEN + head + "".join(parts)


def pages() -> dict[Path, str]:
    """Every generated file and its text."""
    schemas = {ROOT / "schemas" / f"{n}.schema.json": json.dumps(schema(m), indent=1) + "\n" for n, m in SCHEMAS.items()}
    return schemas | {
        ROOT / "docs" / "cli.md": cli_page(),
        ROOT / "docs" / "events.md": events_page(),
        ROOT / "docs" / "plan.md": fields_page(Plan, PLAN_HEAD),
        ROOT / "docs" / "site.md": fields_page(SiteFile, SITE_HEAD),
        ROOT / "docs" / "simulate.md": fields_page(Results, SIMULATE_HEAD),
        ROOT / "docs" / "attacks.md": WRITTEN + faults.listing(),
        THREATS: faults.filled(THREATS.read_text(encoding="utf-8")),
    }


def _transforms() -> str:
    """Which transforms a plan may name."""
    head = "| transform | arguments | labels of places | images of |\n|---|---|---|---|\n"
    rows = []
    for name, kind in KINDS.items():
        places = "stay" if not kind.moves else "refused" if kind.colours else "move with it"
        arguments = ", ".join(f"`{each}`" for each in kind.arguments)
        numbers = "pixels, 1 or 3 channels" if kind.colours else "any numbers"
        rows.append(f"| `{name}` | {arguments} | {places} | {numbers} |\n")
    return head + "".join(rows)


PLAN_HEAD = f"""# plan.toml

What both sites agree on before round 1: one file, byte for byte the same on both sides, named by its SHA-256
(`sha256sum plan.toml`). `alx pair` refuses a peer with another plan and shows the fields that differ. Unknown fields are
refused; so is a plan of more than {plan.MAX_PLAN_BYTES} bytes. JSON Schema: `schemas/plan.schema.json`.

How data become the model's input ([images], [columns]) belongs here, because a loss is the same number on both sides only if
the input is the same; where the data lie belongs in each side's own site.toml. Where data are not of the kind that
[images] or [columns] is for, they are refused: [site.md](site.md#what-images-and-columns-are-for) has the rule.

A model of your own is code that runs on both machines: read the file that a plan names before you make a site from it.
A plan may be edited until the sites are made; after that, another plan needs new sites on both sides.

Two small models come with alx (`alx/tasks/models.py`): `alx.tasks.models:small_cnn` (`channels`, `size`, `classes`) for
small square images, and `alx.tasks.models:mlp` (`inputs`, `classes`, `hidden`) for rows of a table. `inputs` is the number
of numeric columns and dates plus, for each categorical column, the number of its values, and one for each
`indicator`; `classes` is 1 for `binary_cross_entropy`
and for a number to predict.

What a wrong answer costs, and what rare classes weigh, is agreed here too, as the two sites add their losses up
([tasks.md](tasks.md#rare-classes-and-dear-mistakes) says which to take). Credit where a bad customer who is called good
costs five times as much as a good one who is called bad, of classes `good` and `bad`:

```toml
[objective.costs]
good = {{ bad = 1.0 }}
bad = {{ good = 5.0 }}
```

`alx init --plan-from clinic.csv --label outcome --id patient` writes a first plan out of a table (or a folder of images,
or an .npz): names, kinds of columns, and values that you let in. Means, ranges and counts of your own data are not in it.

Columns of a table, all that they can be; what your hospital writes otherwise, [site.toml](site.md#a-table-as-it-is) says:

```toml
[columns]
label = "num"
classes = {{ no = ["0"], yes = ["1", "2", "3", "4"] }}  # levels merged; or a list of the values as they are
ids = ["patient"]                                      # refused as an input

[columns.numeric.chol]                                 # (value - mean) / std, by figures that both sides agreed on
mean = 200.0
std = 50.0
missing = 200.0                                        # put where it is missing; without this line that is refused
indicator = true                                       # one more input: 1 where it is missing

[columns.date.visit]                                   # years, or days, since a day
since = 2020-01-01
unit = "years"

[columns.categorical.sex]                              # one input a value
values = ["female", "male"]
missing = "zeros"
```

Images can be changed at random before they are trained on ([tasks.md](tasks.md#augmentation) says how), by torchvision's
transforms one after the other, under torchvision's names:

```toml
[[training.augment]]
name = "RandomHorizontalFlip"

[[training.augment]]
name = "RandomCrop"
padding = 4                       # size is the images' own

[[training.augment]]
name = "ColorJitter"
brightness = 0.2
contrast = [0.8, 1.2]
```

{_transforms()}
A whole plan, from `examples/csv`:

```toml
{(ROOT / "examples" / "csv" / "plan.toml").read_text(encoding="utf-8")}```
"""

SITE_HEAD = """# site.toml

One site's own settings, made by `alx init`, edited by hand. Nothing in it ever travels. JSON Schema:
`schemas/site.schema.json`. [keys.md](keys.md) is about the rest of a site's folder: its key, backups and ledger.
[devices.md](devices.md) is about `device`: one, or several that measure together.

| kind of data | path | held out |
|---|---|---|
| `npz` | MedMNIST's arrays: `train_images` (pixels: uint8 [n, h, w] or [n, h, w, 3]), `train_labels` | `test_*` |
| `images` | a folder with one folder a class | `held_out`: another such folder |
| `tar` | a tar, or a folder of tars: pictures in a folder a class, or each beside a `.cls` | `held_out`: another |
| `csv` | a table, as the plan's [columns] and your own [data.table] say | `held_out`: another, written alike |
| `cifar10`, `svhn`, `mnist` | the root that torchvision's data set was downloaded to | its test split |

## Pictures that do not fit into memory

Pictures of `images` and `tar` are decoded once and held as bytes where these take a quarter of the free memory at most;
else, or with `in_memory = false`, each is decoded when a batch needs it, by `workers` processes, two batches ahead. Without
workers, which is so where none are asked for, the process that trains decodes too. Workers are of use where cores are idle:
as many of them as there are such cores. Beside other work on two cores they were of little
([performance.md](performance.md#loading)). A worker takes 33 MB of memory, begins in about a second, and ends with its
command, however that ends.
Neither changes a bit of any weight or loss: which pictures make a batch, and how they are changed at random, is decided
without the workers. A damaged picture is then refused when it is met; pairing reads every picture once, for
`data.sha256`, and so does each later turn before it trains.

```toml
[data]
kind = "images"
path = "/data/scans"
workers = 8                            # left out: none
in_memory = false                      # left out: by what is free
```

A folder of 10,000 pictures or more is listed once; the listing is kept in `listings/` of the site's folder, never
beside the data, and is made anew when the time of change of a folder, or of a tar, is another. It may be deleted.

An `.npz` whose large arrays are saved with `numpy.savez` (not `savez_compressed`, as MedMNIST's are) is mapped: what is
not asked for takes no memory. To save one anew: `numpy.savez("new.npz", **numpy.load("old.npz"))`. Pixels that
`[images]` resizes are read whole, and so is what is compressed. While a command runs, the file stays as it is: replace
it, do not write into it.

## A table as it is

What a value means stands in the plan; how your hospital's file is written stands here, in `[data.table]`. `alx init --table
FILE` takes it from a file of these fields. Found without being told, as there is no doubt: which of `,` `;` tab `|` parts
cells, where only one is in the first line; a byte-order mark; empty first lines. Never guessed: `1.234` in a file that is
not parted by commas may be a thousand or one and a bit, and is refused until `decimal` is said; so is a date that is not
written as 2020-01-31 until `dates` says how. A name with other letters than a-z stands in quotes, as TOML wants it.

```toml
[data.table]
delimiter = ";"
decimal = ","
thousands = "."
encoding = "latin-1"
skip = 2                               # lines before the table
comment = "#"                          # lines that begin with it
missing = ["-9"]                       # in any column, but for values and classes that the plan names
missing_in = { chol = ["0"] }          # in this one alone
absent = ["ecg"]                       # not measured here; the plan says what to put
rename = { Alter = "age", "Größe" = "height" }
values = { sex = { M = "male", W = "female" } }
dates = { visit = "%d.%m.%Y" }
```

Where the file has no line of names, `header = ["age", "height"]` gives them in order. Where there is no site,
`--table FILE` of `alx describe`, `alx simulate`, `alx predict` and `alx evaluate` says the same.

## Fewer samples than are told of

No loss is signed over fewer samples than `least` under `[disclosure]` says in the plan (10, where it says nothing), no
model is sent that was trained on fewer, and `alx describe` hides counts below it. A site may be stricter, and never laxer:

```toml
[disclosure]
least = 50
```

From then on `alx identity`, `alx pair`, `alx train-local` and the closing are refused of fewer.
[The threat model](threat-model.md#what-a-least-count-stops) says what it stops, and what not.

## What a model is worth here

On the samples kept apart every number that fits the plan's loss is told at each import and by `alx status`: accuracy,
AUC, sensitivity, specificity and so on ([glossary.md](glossary.md) has a sentence on each), beside what the best
answer without a model reaches. `[metrics]` says from which probability on an answer is yes, and by which columns to
tell them:

```toml
[metrics]
threshold = 0.2
positive = "malignant"
by = ["hospital", "sex"]
```

A threshold or a positive class that nothing would heed is refused: of a model that tells no two classes apart, and a
threshold under a plan with costs.

A column is any of the CSV `held_out`, whether the plan declares it or not; of an `npz`, `by = ["hospital"]` is its
array `test_hospital`, a value for each of `test_images`. `[metrics]` may change at any time: it chooses no model,
nothing of it travels, and the score that is compared from one import to the next does not depend on it
([decisions/0019-metrics.md](decisions/0019-metrics.md)). A task of your own says `score=` instead
([tasks.md](tasks.md#a-score-of-your-own)).

A sample that is trained on tells nothing of others. `held_out` that names the data themselves is refused, and `alx check`
has a LOOK where inputs of samples kept apart, or for validation, are among those trained on, byte for byte (of rows with
few values: more of them than by chance). Pictures that are decoded as they are asked for are not compared, and it says so.

## What [images] and [columns] are for

The plan alone says how a sample becomes an input, so that it is the same on both sides:

| the plan has | data that are taken | what the model gets |
|---|---|---|
| `[images]` | image folders, torchvision's sets, an `npz` of uint8 | float32 [n, channels, h, w]: / 255, normalised |
| `[columns]` | `csv` | numbers and dates scaled, categories one-hot: float32 [n, inputs] |
| neither | an `npz` of other numbers | the numbers as they are, in float32 |
| neither | pixels, as in the first row | float32 [n, channels, h, w]: / 255 |

Anything else is refused: pixels in another type than uint8 where the plan has `[images]`, an `npz` where it has
`[columns]`; samples kept apart, or for validation, that are numbers where those to train on are pixels; and pairing
refuses a peer whose inputs are pixels where your own are numbers. Where `[images]` names `classes`, a label is a place in
that list, in every kind of data.

## What becomes of an image file

In a folder of images a file is read by what is in it: PNG, JPEG, BMP, WebP, TIFF, PGM or PPM, and nothing else,
whatever its name ends with. A file that a model would see differently from people is refused by its name:

| what | rule |
|---|---|
| depth | at most 8 bits a channel, by the file's own header; fewer are widened to 0 to 255 |
| deeper, signed or floating-point pixels | refused: scale them on purpose |
| orientation | applied: a picture from a telephone is upright, as viewers show it |
| transparency | refused, unless every pixel is opaque: then the alpha channel is dropped |
| colours | grey, black and white, palette, RGB and YCbCr are read; CMYK, LAB and others are refused |
| colour profile, gamma | not applied |
| channels | `channels = 3` repeats grey; `channels = 1` takes 0.299 R + 0.587 G + 0.114 B |
| several images in a file | refused; of a telephone's JPEG with a preview behind it (MPO), the first is read |
| size | resized to the plan's `size` (bilinear, antialiased), whatever the shape was |
| damage | refused, even if only a tag cannot be read: it may have held the orientation |
"""

SIMULATE_HEAD = """# alx simulate

What would a plan bring, and what else could be had for the same trips? Before anybody carries a disk: with all samples
in one place (a public set that is like your own, say), `alx simulate` deals them out to two sites and plays the whole
exchange between them with real bundles. Beside it, from the same first model and for as many steps, it trains what
`--baselines` asks for: each party alone, both pooled, two rivals:

```sh
alx simulate examples/paper/stall/digits.toml --split complementary:0,1,2,3,4:0.05 --baselines cyclic,fedavg --seeds 1
```

plays a plan of this repository with the digits that come with alx, in a minute on one core of a shared x86-64 machine.
With your own data, a plan and five seeds:

```sh
alx simulate plan.toml --data npz:all.npz --split complementary:0,1,2,3,4:0.05 --seeds 0-4 --out sim
```

It says at the start what it will cost: the time is estimated from a few steps; bytes carried and disk space are upper
bounds (how well models compress is not known before they are trained). If it is stopped, the same command goes on with
the round that was being played; asked for more seeds or baselines, it plays what is not there yet, and the
results cover all runs in the folder. Another plan, split, data, task, `--init`, `--samples` or `--keep-models` needs
another folder.
On samples kept apart it tells every number that fits the plan's loss, beside the best answer without a model; `--by
hospital` tells them by that column's values too, and `--threshold` and `--positive` say when an answer is yes
([site.md](site.md#what-a-model-is-worth-here)).
`sim/results.json` is described below (JSON Schema: `schemas/results.schema.json`); `sim/simulation.png` and `.svg`
draw it.

| baseline | what it does |
|---|---|
| `centralised` | trains on both parties' samples |
| `learner-only`, `provider-only` | trains on one party's, for as many steps as both turns have |
| `cyclic` | cyclical weight transfer: each trains on from the other's last model, and sends only that |
| `fedavg` | federated averaging: both train from one model and send it; both take the mean, weighted by samples |
| `cyclic+distillation`, `fedavg+distillation` | the same, with the plan's [distillation] in each turn |
| `paper` | the paper's algorithm: snapshots alone, no distillation, selection on training samples |
| `blended`, `blended+distillation`, `blended+distillation+validation` | what alx adds to it, one after the other |

All start at the same model. The first two rows train on without a break, with one schedule over all rounds; the
others start the optimiser afresh each turn, or go on with each side's own where the plan says `keep`, as assistance
does. `cyclic` and `fedavg` carry two
models a round, one each way; nothing in them keeps a round from making things worse. Their bytes are those of the bare
models, packed as a bundle packs one: no manifest and no signature, which the bytes of assistance include. A kind of
assistance that is the plan's own, asked for by its name, is played once, as `assisted`. Only `assisted` has the plan's
[privacy], and its `ridge` under [model]: no other is noised, or has a layer that was solved for. Where the plan has
[distillation] off, `+distillation` takes its default, and is refused where the loss has none. Rivals train on all
samples and have no use for validation; the loss in the table is that of all training samples, whatever was selected on.

| split | who holds what |
|---|---|
| `gamma:0.3` | the paper's: the provider half of each class; the learner m of one class and 0.3 m of each other |
| `complementary:0,1,2,3,4:0.05` | the learner those classes and 0.05 of the others' samples; the provider the rest |
| `dirichlet:0.5` | of each class the learner's share is drawn from Beta(0.5, 0.5) |
| `column:hospital:north,south` | the learner these hospitals' samples: a CSV's column, or an .npz's `train_hospital` |
| `column:hospital:each` | one hospital after the other is the learner, all others the provider: an exchange each |

**Leave one hospital out.** `column:hospital:each` plays the plan once for each value of the column, in folders of their
own (`group-1`, `group-2`, … in the order of the values), and prints one table: what each hospital has of an exchange
with all others, beside `learner-only`, what it has by itself, and `provider-only`, what the others have without it. The
last line is the mean over hospitals, with its standard deviation; `--json` has that of every number. A column has 2 to
50 values for this.

**A task of your own.** `--task task.py` takes the place of `--data`: its `make_task` is given the plan, `--settings
FILE` (what `[settings]` in a site.toml would say) and, for `settings.folder`, the folder that the file lies in, where
all samples are. One line in it says what is dealt out: `data = settings.dealt(data)`; [tasks.md](tasks.md#simulate-it)
has the rules. All baselines train and are measured by the task's own functions, so all can be had, with one exception,
which is refused: `validation` where `make_task` cannot be made with it. What is kept apart, and every number on it, is
what the task's `held_out` says, so `--held-out`, `--by`, `--positive` and `--threshold` are not for it. alx sees the
file and the settings, not what else it reads: where the data change, take another `--out`.

**Where it begins.** `--init FILE` takes weights (.safetensors) in place of those drawn from the seed: assistance and
every baseline begin with them, with every seed.

**Models.** With `--keep-models` every algorithm's model stays, after each round:
`sim/seed-0/models/fedavg-round-2.safetensors`, the plan beside it, as `alx best` writes them. `alx evaluate` and `alx
predict` take them; that of a task of your own is loaded in your own code ([tasks.md](tasks.md#the-model-in-use)). A
model that is not finite is not kept.

**How long should a turn be?** Trips are dear and computation is not, and with distillation a long turn brings more than a
short one (docs/results.md). `--round-steps 100,400,1600` plays the plan at each of these lengths, in folders of their own,
with as many snapshots a turn, and says which one comes within 0.01 of the best score of all after the fewest trips: put that
into `round_steps`. It needs samples kept apart. Where the score is nowhere more than 0.01 above that of the same answer for
everybody, as of a rare outcome, it says so and recommends none. With one number it takes the place of the plan's.

Where the plan names classes, `complementary` takes the names as well as the numbers.

Where the plan's [model] calls parts personal, each party has its own, in assistance and in its rivals: of batch norm,
`fedavg` is then FedBN. There are two models after a round: the loss is the sum of each party's at its own, and a score
the mean of what both score on the samples kept apart. Whoever trains alone, or on pooled data, has one whole model.

A seed decides the split, the first model and every batch, and which of the packaged `digits` are kept apart; `--seeds` takes
the place of the plan's `seed`. `--samples N` takes only N samples, and at most N of those kept apart, drawn anew for each
seed. Of a task of your own, all that is kept apart stays.
"""

if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
