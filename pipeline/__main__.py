"""`python -m pipeline`: the command line of the corpus. Parses, calls one function, prints what came of it."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import typer

from collectors.commands import application, run
from collectors.errors import CatalogError
from pipeline.engine import EngineKind, start

app = application()

Out = Annotated[Path, typer.Option("--out", metavar="OUT", help="The data folder.")]
Catalog_ = Annotated[
    Path | None,
    typer.Option("--catalog", metavar="FILE", help="The catalog; without: catalog.yaml here, or beside the program."),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes to work with; without: one a core. Never changes a byte."),
]
Engine = Annotated[
    EngineKind,
    typer.Option("--engine", help="Work in processes of this machine, or on Ray. Never changes a byte."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="auto|HOST:PORT",
        help="With --engine ray: the cluster, of which this machine is a node; all nodes share this folder, the data "
        "folder and the raw files. Without: Ray is started here.",
    ),
]

Form = Literal["alpaca", "messages", "sharegpt", "prompt-completion"]
Kind = Literal["json", "jsonl", "parquet"]
Like = Literal["alpaca-cot"]


@app.callback()
def _pipeline() -> None:
    """Builds instruction corpora: raw files to records, records to mixtures, mixtures to the Hub."""


@app.command()
def corpus(
    origin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="sample|hub|DIR",
            help="Where raw files come from: the embedded samples, upstream, or DIR/<source>/, read in place.",
        ),
    ] = "sample",
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME",
            help="A source, a glob (alpaca*) or a tag (lang=CN, all must hold); may be given again. Without: all.",
        ),
    ] = None,
    out: Out = Path("data"),
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="ROWS", help="Take so many raw rows of each file at most.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="With --from hub: use what was fetched before, and say what is missing.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where rows, columns or files are not as the catalog expects.")
    ] = False,
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    catalog: Catalog_ = None,
) -> None:
    """Normalise raw upstream files to records in OUT/records/<source>/."""
    with start(engine, address, workers) as running:
        from collectors.catalog import load
        from pipeline import report
        from pipeline.collect import collecting, raw_folder
        from pipeline.drift import drift
        from pipeline.folder import lock

        known = load(catalog)
        names = list(known.chosen(source or []))
        with lock(out):
            raw = raw_folder(known, names, origin, out, report.say, offline=offline)
            # What is not there is an error where it was asked for by its name, and offline nowhere else.
            asked = names if origin == "hub" and not offline else source or []
            drifted = []
            for done in collecting(known, asked, raw, out, running, limit=limit):
                report.collected(done)
                if strict or origin == "hub":
                    drifted += drift(known.sources[done.manifest["source"]], done.manifest)
        report.drifted(drifted, strict=strict)


@app.command()
def judge(
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="A source, a glob or a tag, as in corpus. Without: all built."),
    ] = None,
    suites: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|hub|none",
            help="Where evaluation sets lie, DIR/<set>/, to look for leaks in. Without: those of the run before.",
        ),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE", help="One more evaluation set: JSON Lines or CSV with a column of questions."
        ),
    ] = None,
    out: Out = Path("data"),
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    catalog: Catalog_ = None,
) -> None:
    """Judge every record beside it, in OUT/verdicts/<source>/: language, flags, near-duplicates, leaks."""
    with start(engine, address, workers) as running:
        from collectors.catalog import load
        from pipeline import report
        from pipeline.folder import lock
        from pipeline.judge.run import judging
        from pipeline.judge.suites import asked

        known = load(catalog)
        with lock(out):
            items = asked(known, suites, suite or [], out, report.say)
            for done in judging(known, source or [], out, running, items):
                report.judged(done)


@app.command()
def mix(
    mixture: Annotated[str, typer.Argument(metavar="MIX", help="A mixture's name in the catalog, or a mixture file.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail where a policy cannot be applied for want of verdicts.")
    ] = False,
    out: Out = Path("data"),
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    catalog: Catalog_ = None,
) -> None:
    """Select, word and order the rows of a mixture in OUT/mixes/<mixture>/."""
    with start(engine, address, workers, ["pipeline.gathering"]) as running:
        from collectors.catalog import load
        from pipeline import mix as mixing
        from pipeline import report
        from pipeline.folder import lock

        with lock(out):
            report.mixed(mixing.mix(load(catalog), mixture, out, running, strict=strict))


@app.command()
def plan(
    mixture: Annotated[str, typer.Argument(metavar="MIX", help="A mixture's name in the catalog, or a mixture file.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Count tokens by this one: a folder, or a model's id on the Hub."),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Tell the steps of this recipe of training, by name or path.")
    ] = None,
    exact: Annotated[
        bool | None,
        typer.Option(
            "--exact/--counts", help="Decide on every record, as mix does, or go by counts. Without: by their number."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")] = False,
    out: Out = Path("data"),
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    catalog: Catalog_ = None,
) -> None:
    """Tell what a mixture will be, before it is built: rows, tokens, shares, what policies leave out, steps."""
    from collectors.catalog import load
    from pipeline.plan.answer import plan as planned
    from pipeline.plan.told import show

    with ExitStack() as stack:
        found = planned(
            load(catalog),
            mixture,
            out,
            lambda: stack.enter_context(start(engine, address, workers)),
            tokenizer=tokenizer,
            recipe=recipe,
            exact=exact,
            say=lambda line: print(line, file=sys.stderr, flush=True),
        )
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    show(found)


@app.command()
def push(
    mixture: Annotated[str, typer.Argument(metavar="MIX", help="A built mixture.")],
    repo: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="The data set on the Hub; HF_TOKEN or a login is needed.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the same tree to a folder instead.")] = None,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="Rows as export has them, docs/export.md; without: all columns of the mixture."),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="A public data set; without, a new one is private.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the files with sizes and hashes; write nothing, send nothing.")
    ] = False,
    out: Out = Path("data"),
    catalog: Catalog_ = None,
) -> None:
    """Publish a built mixture as Parquet with its card: to the Hub, or to a folder."""
    from collectors.catalog import load
    from pipeline import push as pushing
    from pipeline import report
    from pipeline.card import Credit
    from pipeline.folder import lock

    if (repo is None) == (to is None):
        raise CatalogError("push: say where to, either --repo OWNER/NAME or --to DIR")
    known = load(catalog)
    credits, name = Credit.of(known), known.built_name(mixture)
    if dry_run:
        report.listed(pushing.listing(name, out, credits, repo=repo, form=form))
        return
    with lock(out):
        if to is not None:
            report.published(name, pushing.write(name, to, out, credits, form=form))
        elif repo is not None:
            report.published(name, pushing.push(name, repo, out, credits, private=not public, form=form))


@app.command()
def export(
    form: Annotated[Form, typer.Option("--format", help="What a row looks like: docs/export.md.")],
    to: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write; it holds nothing but an export.")],
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="A source whose records to write; globs and tags as in corpus.")
    ] = None,
    mixture: Annotated[
        str | None, typer.Option("--mix", metavar="NAME", help="A built mixture, a file a split.")
    ] = None,
    kind: Annotated[
        Kind, typer.Option("--as", help="One JSON array a file, a JSON object a line, or Parquet.")
    ] = "json",
    like: Annotated[
        Like | None, typer.Option(help="Word the raw rows of cot as Alpaca-CoT's formatter does; needs --flan.")
    ] = None,
    flan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="FLAN's flan/v2/templates.py (never run), or its patterns as JSON."),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="sample|hub|DIR", help="With --like: where the raw files of cot lie, as in corpus."
        ),
    ] = None,
    out: Out = Path("data"),
    catalog: Catalog_ = None,
) -> None:
    """Write records, or a mixture's rows, in the formats other trainers read."""
    from collectors.catalog import load
    from pipeline import report
    from pipeline.ancestor import alpaca_cot
    from pipeline.collect import SAMPLES
    from pipeline.export import export as exporting
    from pipeline.folder import lock

    if (source is None) == (mixture is None):
        raise CatalogError("export: say what, either --source NAME or --mix NAME")
    if like is None and (flan is not None or origin is not None):
        raise CatalogError("export: --flan and --from go with --like alpaca-cot; leave them out, or add it")
    if like is not None and ((source, form, kind) != ("cot", "alpaca", "json") or flan is None):
        raise CatalogError(f"export: --like {like} wants --source cot --format alpaca --as json --flan FILE")
    known = load(catalog)
    with lock(out):
        if flan is not None:
            raw = {None: SAMPLES, "sample": SAMPLES, "hub": out / "raw"}.get(origin) or Path(str(origin))
            done = alpaca_cot(known, to, out, flan=flan, raw=raw)
        else:
            name = known.built_name(mixture) if mixture is not None else str(source)
            done = exporting(known, to, out, name=name, mixture=mixture is not None, form=form, kind=kind)
        report.exported(done)


@app.command()
def sources(
    tags: Annotated[
        list[str] | None,
        typer.Option(metavar="TAGS", help='Only some: names, globs and tags, such as "lang=CN gen=SI license=MIT".'),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: a JSON array.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The table as the README has it.")] = False,
    out: Out = Path("data"),
    catalog: Catalog_ = None,
) -> None:
    """Print the table of sources: tags, licence, origin, rows expected and built, size on disk."""
    from collectors.catalog import load
    from pipeline import report
    from pipeline.sources import listed, print_table

    known = load(catalog)
    if markdown:
        print(report.sources_table(known, tags))
        return
    entries = listed(known, tags or [], out)
    if as_json:
        print(json.dumps(entries, ensure_ascii=False, indent=1))
    else:
        print_table(entries)


@app.command("report")
def page(
    out: Out = Path("data"),
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    catalog: Catalog_ = None,
) -> None:
    """Write OUT/report.html: what the corpus holds, on one page to read in a browser, offline."""
    with start(engine, address, workers) as running:
        from collectors.catalog import load
        from pipeline import report
        from pipeline.page.build import page

        report.paged(page(load(catalog), out, running))


@app.command()
def why(
    row: Annotated[
        str,
        typer.Argument(
            metavar="ID|SOURCE:SUBSET:ROW", help="A record's id, or a raw row: its source, its file there, its number."
        ),
    ],
    origin: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="Where raw files lie, DIR/<source>/. Without: where corpus fetched or read them.",
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Whole texts, and all there are of many duplicates.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")] = False,
    out: Out = Path("data"),
    catalog: Catalog_ = None,
) -> None:
    """Tell all about one row: raw and as a record, its verdict, duplicates and leaks, what mixtures made of it."""
    import shutil

    from collectors.catalog import load
    from pipeline.why.answer import why as answered
    from pipeline.why.told import told

    found = answered(load(catalog), row, out, origin, full=full)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for line in told(found, shutil.get_terminal_size((100, 24)).columns, full=full):
        print(line)


@app.command("diff")
def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="A built mixture or source, the folder of one, or a data folder.")
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="What to compare it with, of the same kind.")],
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Count tokens by this one: a folder, or a model's id on the Hub. Without: characters only.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: one JSON object.")] = False,
    out: Out = Path("data"),
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    catalog: Catalog_ = None,
) -> None:
    """Tell what two mixtures, or two corpora, do not have in common: rows of one only, and other wordings."""
    with start(engine, address, workers) as running:
        import shutil

        from collectors.catalog import load
        from pipeline.diff.answer import diff
        from pipeline.diff.told import told

        aliases = load(catalog).aliases
        names = aliases.get(first, first), aliases.get(second, second)
        found = diff(*names, out, running, tokenizer=tokenizer)
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for line in told(found, shutil.get_terminal_size((100, 24)).columns):
        print(line)


@app.command()
def schema() -> None:
    """Print the JSON schema of a mixture file, as docs/mixture.schema.json has it, for editors."""
    from collectors.mixture import schema as of_mixture

    print(of_mixture())


@app.command()
def show(out: Out = Path("data")) -> None:
    """Print what the data folder holds: corpus, mixtures, runs and published trees."""
    from pipeline.report import inventory

    inventory(out)


if __name__ == "__main__":
    run(app, "python -m pipeline")
