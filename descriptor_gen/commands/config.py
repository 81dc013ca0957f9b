"""`descgen config`: the profile, values for options that are not given."""

from __future__ import annotations

import click

from db.commandline import console, json_option, notes, print_json, table
from db.profile import origins, profile_path, set_value, unset_value

_user_option = click.option("--user", is_flag=True, help="In your configuration folder, for all folders.")


@click.group("config", invoke_without_command=True)
@json_option
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show the values for options that are not given, of both programs, and where each comes from.

    \b
    descgen config set encoder ViT-L/14           write to descgen.toml in this folder
    descgen config set --user features /big/disk  write to your own profile, for all folders
    descgen config unset encoder                  remove it again
    """
    if context.invoked_subcommand is None:
        values = origins()
        rows = [(value.name, value.value, value.origin or "not set", value.about) for value in values]
        print_json(values) if as_json else console.print(table("name", "value", "from", "about", rows=rows))


@config.command("set")
@click.argument("name")
@click.argument("value")
@_user_option
def set_name(name: str, value: str, user: bool) -> None:
    """Write VALUE for NAME to descgen.toml in this folder."""
    path = profile_path(user=user)
    set_value(path, name, value)
    notes.print(f"{path}: {name} = {value}")


@config.command("unset")
@click.argument("name")
@_user_option
def unset_name(name: str, user: bool) -> None:
    """Remove NAME from descgen.toml in this folder."""
    path = profile_path(user=user)
    unset_value(path, name)
    notes.print(f"{path}: {name} removed")
