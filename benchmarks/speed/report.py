"""The table as Markdown, with every goal beside the ratio it is about."""

GOALS = (
    ("DSGD-I, K/d = 0.1", "JAX", 4.0),
    ("DSGD-II,", "JAX", 4.0),
    ("quadratic, d = 100,", "JAX", 10.0),
    ("quadratic, d = 1000,", "JAX", 4.0),
)
ONE_REPLICA_GOAL, CEILING_GOAL, EXPONENTS, EXACT_GOAL = 0.9, 0.9, {"K": 1.15, "R": 1.15}, 1e5


def goals_of(row):
    """Return the goals of a row of several replicas: against what, the ratio with spread, the least it should be."""
    if row["title"].endswith("R = 1"):
        return []
    stated = [(column, goal) for title, column, goal in GOALS if row["title"].startswith(title) and column in row["columns"]]
    return [(column, row["columns"][column]["mastsim_ratio"], goal) for column, goal in stated]


def is_met(row, ratio, goal):
    """Return whether a row is so much faster than another form, or at the ceiling of what the machine computes."""
    return ratio["median"] >= goal or row.get("fractions", {}).get("flops_done", 0.0) >= CEILING_GOAL


def verdict(met):
    return "met" if met else "NOT met"


def markdown(document):
    """Return the whole report."""
    facts = document["machine"]
    parts = [f"{facts['words']}; data {document['data_name']}; {facts['threads']} threads; " + versions(facts["versions"])]
    parts += [rates_table(document["rows"]), goals_table(document), others(document)]
    return "\n\n".join(parts)


def versions(found):
    return ", ".join(f"{name} {version}" for name, version in found.items() if version)


def rates_table(rows):
    columns = list(dict.fromkeys(column for row in rows for column in row["columns"]))
    lines = ["| replica-steps per second | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        cells = []
        for column in columns:
            cell = row["columns"].get(column)
            cells.append("–" if cell is None else f"{cell['rate']['median']:.2g} ({cell['form']})")
        lines.append(f"| {row['title']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def between(ratio, digits=3):
    return f"{ratio['median']:.{digits}g} ({ratio['lowest']:.{digits}g} .. {ratio['highest']:.{digits}g})"


def goals_table(document):
    lines = ["| mastsim over | ratio, lowest .. highest of the rounds | goal | |", "|---|---|---|---|"]
    for row in document["rows"]:
        for column, ratio, goal in goals_of(row):
            lines.append(
                f"| {column}: {row['title']} | {between(ratio)} | ≥ {goal:g} | {verdict(is_met(row, ratio, goal))} |"
            )
    alone = document["one_replica"]
    text = verdict(alone["median"] >= ONE_REPLICA_GOAL)
    lines.append(f"| itself: R = 1 over R = 32, a replica-step | {between(alone)} | ≥ {ONE_REPLICA_GOAL} | {text} |")
    exact = document["exact"]
    met = verdict(exact["ratio"] >= EXACT_GOAL)
    lines.append(f"| Monte Carlo of equal time: error of ∇f_D | {exact['ratio']:.2g} | ≥ {EXACT_GOAL:g} | {met} |")
    return "\n".join(lines + exponent_lines(document["growth"]))


def exponent_lines(growth):
    lines = []
    for column, exponents in growth.items():
        for name, found in exponents.items():
            goal = EXPONENTS.get(name)
            end = f"≤ {goal} | {verdict(found['median'] <= goal)} |" if goal else "– | |"
            lines.append(f"| {column}: exponent of the time of a step in {name} | {between(found, 2)} | {end}")
    return lines


def others(document):
    ceiling, memory = document["ceilings"], document["memory"]
    lines = [
        f"Ceilings: {ceiling['flops'] / 1e9:.1f} Gflop/s in a dense product, {ceiling['memory'] / 1e9:.1f} GB/s of a triad "
        f"in memory, {ceiling['cache'] / 1e9:.1f} GB/s in the cache.\n",
        "| work | flops a step | bytes a step | of the flop ceiling | of the memory ceiling | of the cache ceiling "
        "| flops done, of the ceiling |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        f = row["fractions"]
        shares = " | ".join(f"{f[name]:.2g}" for name in ("flops", "memory", "cache", "flops_done"))
        lines.append(f"| {row['title']} | {f['flops_a_step']:.3g} | {f['bytes_a_step']:.3g} | {shares} |")
    lines.append(
        f"\n{memory['replicas']} replicas add {memory['added'] / 2**20:.0f} MiB: {memory['states']:.1f} states of R × d."
    )
    if document["float32"] is not None:
        lines.append(f"float32 over float64: {between(document['float32'])}.")
    blind = max(row["undetected_deviation"] for row in document["rows"])
    lines.append(
        f"Every form that was timed agrees with mastsim's replicas after 16 steps (Welch's t tests of error probability "
        f"1e-9 of the distances to x_D* and from the start; a deviation of {blind:.0%} is sure to be seen)."
    )
    return "\n".join(lines)
