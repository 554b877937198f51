"""``vrmpy-tune records``: list, check, merge, prune and move tuned records."""

from __future__ import annotations

import typer

from vrmpy_tune.cli import (
    records_keep,
    records_list,
    records_plot,
    records_transfer,
    records_verify,
)

app = typer.Typer(
    help="List, check, merge, prune and move tuned records.",
    no_args_is_help=True,
    add_completion=False,
)
app.command("ls")(records_list.list_records)
app.command("best")(records_list.best_records)
app.command("show")(records_list.show_record)
app.command("disagree")(records_list.show_disagreements)
app.command("verify")(records_verify.verify_records)
app.command("merge")(records_keep.merge_stores)
app.command("prune")(records_keep.prune_store)
app.command("upgrade")(records_keep.upgrade_store)
app.command("import")(records_transfer.import_file)
app.command("export")(records_transfer.export_file)
app.command("plot")(records_plot.plot_store)
