"""The GRID corpus: its folders, splits, defects, a `datasets` builder, download and export."""
