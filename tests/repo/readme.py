"""README.md from nbs/index.ipynb: prints it. The notebook's outputs are taken as they stand; its code is left out."""

import re
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

NOTEBOOK = Path(__file__).parent.parent.parent / "nbs/index.ipynb"


def readme(notebook: Path = NOTEBOOK) -> str:
    "The page, with links that work from the project's folder."
    text, _ = MarkdownExporter(exclude_input=True).from_notebook_node(nbformat.read(notebook, 4))
    text = re.sub(r"<style scoped>.*?</style>\s*", "", text, flags=re.S)
    text = re.sub(r"\]\((?!https?://|#|nbs/|\.\./)(images/|[\w.]+\.ipynb)", r"](nbs/\1", text)
    return re.sub(r"\n{3,}", "\n\n", text.replace("](../", "](")).strip() + "\n"


if __name__ == "__main__":
    print(readme(), end="")
