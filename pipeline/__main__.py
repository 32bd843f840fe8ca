"""`python -m pipeline`: the command line of the corpus. Parses, calls one function, prints what came of it."""

from pathlib import Path
from typing import Annotated

import typer

from collectors.commands import application, run
from collectors.errors import CatalogError
from pipeline.engine import Engine

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
        list[str] | None, typer.Option("--source", metavar="NAME", help="A source; may be given again. Without: all.")
    ] = None,
    out: Out = Path("data"),
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="ROWS", help="Take so many raw rows of each file at most.")
    ] = None,
    workers: Workers = None,
    catalog: Catalog_ = None,
) -> None:
    """Normalise raw upstream files to records in OUT/records/<source>/."""
    with Engine(workers) as engine:
        from collectors.catalog import load
        from pipeline import report
        from pipeline.collect import collecting, raw_folder
        from pipeline.folder import lock

        known = load(catalog)
        names = list(known.chosen(source or []))
        with lock(out):
            raw = raw_folder(known, names, origin, out, report.say)
            asked = names if source or origin == "hub" else []
            for done in collecting(known, asked, raw, out, engine, limit=limit):
                report.collected(done)


@app.command()
def mix(
    mixture: Annotated[str, typer.Argument(metavar="MIX", help="A mixture's name in the catalog, or a mixture file.")],
    out: Out = Path("data"),
    workers: Workers = None,
    catalog: Catalog_ = None,
) -> None:
    """Select, word and order the rows of a mixture in OUT/mixes/<mixture>/."""
    with Engine(workers) as engine:
        from collectors.catalog import load
        from pipeline import mix as mixing
        from pipeline import report
        from pipeline.folder import lock

        with lock(out):
            report.mixed(mixing.mix(load(catalog), mixture, out, engine))


@app.command()
def push(
    mixture: Annotated[str, typer.Argument(metavar="MIX", help="A built mixture.")],
    repo: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="The data set on the Hub; HF_TOKEN or a login is needed.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the same tree to a folder instead.")] = None,
    public: Annotated[bool, typer.Option("--public", help="A public data set; without, a new one is private.")] = False,
    out: Out = Path("data"),
    catalog: Catalog_ = None,
) -> None:
    """Publish a built mixture as Parquet with its card: to the Hub, or to a folder."""
    from collectors.catalog import built_name, load
    from pipeline import push as pushing
    from pipeline import report
    from pipeline.card import Credit
    from pipeline.folder import lock

    if (repo is None) == (to is None):
        raise CatalogError("push: say where to, either --repo OWNER/NAME or --to DIR")
    credits = Credit.of(load(catalog))
    name = built_name(mixture)
    with lock(out):
        if to is not None:
            report.published(name, pushing.write(name, to, out, credits))
        elif repo is not None:
            report.published(name, pushing.push(name, repo, out, credits, private=not public))


@app.command()
def sources(catalog: Catalog_ = None) -> None:
    """Print the table of sources, as the README has it."""
    from collectors.catalog import load
    from pipeline.report import sources_table

    print(sources_table(load(catalog)))


@app.command()
def show(out: Out = Path("data")) -> None:
    """Print what the data folder holds: corpus, mixtures, runs and published trees."""
    from pipeline.report import inventory

    inventory(out)


if __name__ == "__main__":
    run(app, "python -m pipeline")
