"""Networks of the nequip framework with weights near random: ``python nequip_checkpoints.py FOLDER [NAME ...]``.

Its own commands make them, in one process: checkpoints of a training of one step, and packages of them. Without names
it is the small ones, which tests want.
"""

import os
import sys
from pathlib import Path

CONFIG = Path(__file__).parent / "nequip"
TYPES = ("Cu", "Au", "Ag")
MODEL = "training_module.model"
FLOAT32 = [f"{MODEL}.model_dtype=float32"]
CUTOFFS = [f"+{MODEL}.per_edge_type_cutoff={{Au: 3.5, Cu: {{Au: 3.6, Ag: 4.0}}}}"]
ZBL = [
    f"+{MODEL}.pair_potential={{_target_: nequip.nn.pair_potential.ZBL, units: metal, chemical_species: [Cu, Au, Ag]}}"
]
SMALL = [f"{MODEL}.num_layers=1", f"{MODEL}.num_features=2", f"{MODEL}.radial_mlp_width=2", f"{MODEL}.l_max=0"]
ALLEGRO = [
    *(f"~{MODEL}.{name}" for name in ("num_features", "radial_mlp_depth", "radial_mlp_width", "num_bessels")),
    f"{MODEL}._target_=allegro.model.AllegroModel",
    f"+{MODEL}.num_scalar_features=8",
    f"+{MODEL}.num_tensor_features=4",
    *(f"+{MODEL}.{mlp}_hidden_layers_width=8" for mlp in ("allegro_mlp", "readout_mlp", "scalar_embed_mlp")),
]
BESSEL = [f"+{MODEL}.radial_chemical_embed={{_target_: allegro.nn.TwoBodyBesselScalarEmbed, num_bessels: 4}}"]
SPLINE = [
    f"+{MODEL}.radial_chemical_embed={{_target_: allegro.nn.TwoBodySplineScalarEmbed, num_splines: 8, spline_span: 6}}"
]
# in place of symbols
NAMES = {"Cu": "copper", "Au": "gold", "Ag": "silver"}

# what is changed of train.yaml
NETWORKS = {
    "nequip-float64": ZBL,
    "nequip-float32": [*FLOAT32, *CUTOFFS],
    "nequip-small": SMALL,
    "nequip-names": SMALL,
    "allegro-float64": [*ALLEGRO, *SPLINE, *CUTOFFS, *ZBL],
    "allegro-float32": [*ALLEGRO, *BESSEL, *FLOAT32, *ZBL, f"{MODEL}.num_layers=1"],
}
# of the size that people train, for benchmarks
ORDINARY = {
    "nequip-ordinary-float64": [
        "cutoff=5.0",
        *(f"{MODEL}.{name}" for name in ("num_layers=4", "num_features=32", "l_max=2", "num_bessels=8")),
        f"{MODEL}.radial_mlp_width=64",
    ],
    "allegro-ordinary-float64": [
        "cutoff=5.0",
        *ALLEGRO,
        *BESSEL,
        *(f"{MODEL}.{name}" for name in ("num_scalar_features=64", "num_tensor_features=32", "l_max=2")),
        *(f"{MODEL}.{mlp}_hidden_layers_width=128" for mlp in ("allegro_mlp", "readout_mlp", "scalar_embed_mlp")),
    ],
}
ORDINARY |= {name.replace("float64", "float32"): [*changes, *FLOAT32] for name, changes in ORDINARY.items()}
PACKAGES = ("nequip-float32", "allegro-float64")


def _by_type(values, names):
    return "{" + ", ".join(f"{names.get(name, name)}: {value}" for name, value in zip(TYPES, values, strict=True)) + "}"


def main(folder, *wanted):
    """Make those that are wanted."""
    import ase.io
    from ase.build import bulk
    from ase.calculators.emt import EMT
    from nequip.scripts import package, train
    from omegaconf import OmegaConf

    os.chdir(folder)
    frames = [bulk("Cu", cubic=True, a=3.8 + 0.05 * i) for i in range(3)]
    for i, atoms in enumerate(frames):
        atoms.symbols[1:] = ["Au", "Ag", "Cu"]
        atoms.rattle(0.1, seed=i)
        atoms.calc = EMT()
        atoms.get_forces()
    ase.io.write("train.xyz", frames)
    known = {**NETWORKS, **ORDINARY}
    for name in wanted or NETWORKS:
        changes = known[name]
        names = NAMES if name == "nequip-names" else {}
        types = [names.get(each, each) for each in TYPES]
        sys.argv = [
            *("nequip-train", "-cp", str(CONFIG), "-cn", "train", "++hydra.run.dir=."),
            f"trainer.callbacks.0.filename={name}",
            f"type_names=[{', '.join(types)}]",
            f"~{MODEL}.per_type_energy_shifts",
            f"~{MODEL}.per_type_energy_scales",
            f"+{MODEL}.per_type_energy_shifts={_by_type((-3.0, -1.5, -2.25), names)}",
            f"+{MODEL}.per_type_energy_scales={_by_type((60.0, 40.0, 50.0), names)}",
            *changes,
        ]
        if names:
            as_types = ", ".join(f"{symbol}: {name}" for symbol, name in names.items())
            sys.argv.append(f"+data.transforms.0.chemical_species_to_atom_type_map={{{as_types}}}")
        OmegaConf.clear_resolver("training_data_stats")
        train.main()
    for name in () if wanted else PACKAGES:
        package.main(["build", f"{name}.ckpt", f"{name}.nequip.zip"])


if __name__ == "__main__":
    main(*sys.argv[1:])
