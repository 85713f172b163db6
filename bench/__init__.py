"""The benchmark: one run, one machine, one table of ratios. ``python -m bench``; see ``docs/benchmarks.md``.

- `sizes`: how much of everything a run does
- `cores`: which core does what, and what processes weigh
- `wordstock`, `workload`: rules, chat lines and the encrypted callbacks made of them, from one seed
- `load`, `answers`: the load generator, and the check of what came back
- `process`: a server under test, started, paused, ended
- `product`: the product; `servers/`: the programs it is compared with
- `apart`, `crowd`: measures that run in a process of their own, without HTTP: `index_build`, `growth`,
  `footprint`, `drain_rate`
- `contest`, `arena`: every server of a run; throughput and latency in alternating turns
- `course`, `results`, `report`: the run from start to end, what it found, the table
- `steps`: micro timings of single steps; its own command, ``python -m bench.steps``
"""
