"""Fill the templates of a package: HTML pages and Markdown."""

from collections.abc import Callable, Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined


def fill(package: str, template: str, content: Mapping, filters: Mapping[str, Callable] | None = None) -> str:
    """The text of a template that lies in ``package``. In .html, what ``content`` holds is text, never markup."""
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=template.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters or {}
    return environment.get_template(template).render(content)
