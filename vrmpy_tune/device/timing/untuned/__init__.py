"""Int8 networks as TVM compiled them in October 2022, without tuning (TVM PR 12911)."""
