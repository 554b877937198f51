"""From TIR to an object file: lowering, code generation, linking, caches, versions."""
