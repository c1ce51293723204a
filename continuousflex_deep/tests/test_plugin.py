"""How Scipion finds the package and starts its commands, and that nothing else needs Scipion."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1]

# makes Scipion's packages look as if they were not installed
WITHOUT_SCIPION = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pwem", "pyworkflow", "scipion"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, check=False)


def test_package_and_command_line_do_not_load_scipion() -> None:
    code = "import sys, continuousflex_deep.cli as cli; cli.build_parser(); "
    code += "print({'pwem', 'pyworkflow'} & set(sys.modules))"
    assert run_python(code).stdout.strip() == "set()"


def test_command_line_works_without_scipion() -> None:
    code = "from continuousflex_deep.cli import main; sys.exit(main(['nma', '--help']))"
    finished = run_python(WITHOUT_SCIPION + code)
    assert finished.returncode == 0, finished.stderr
    assert "--cutoff-A" in finished.stdout


def test_asking_for_the_plugin_without_scipion_says_what_is_missing() -> None:
    finished = run_python(WITHOUT_SCIPION + "import continuousflex_deep; continuousflex_deep.Plugin")
    assert "ModuleNotFoundError: No module named 'pwem'" in finished.stderr


def test_unknown_attribute_is_an_attribute_error() -> None:
    import continuousflex_deep

    with pytest.raises(AttributeError, match="no attribute 'Plugn'"):
        continuousflex_deep.Plugn  # noqa: B018


@pytest.mark.scipion
@pytest.mark.usefixtures("scipion_home")
class TestPlugin:
    """Where Scipion is installed."""

    @pytest.fixture
    def plugin(self):
        import pwem

        return pwem.Domain.getPlugins()["continuousflex_deep"].Plugin

    def test_scipion_finds_paths_and_templates(self, plugin) -> None:
        instance = plugin()
        assert instance.getName() == "continuousflex_deep"
        assert Path(instance.getPath()) == PACKAGE
        names = [template.getObjId() for template in instance.getTemplates()]
        assert sorted(names) == [f"continuousflex_deep-{name}" for name in ("deephemnma_synthetic", "empiar_10016")]
        assert (PACKAGE / "icon.png").is_file()

    def test_command_runs_in_this_python_where_it_has_torch(self, plugin, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", "/of/scipion")
        assert plugin.getProgram("nma") == (sys.executable, "-m continuousflex_deep nma")
        assert "PYTHONPATH" not in plugin.getEnviron()
        assert plugin.validateInstallation() == []

    def test_gpus_are_those_of_the_form(self, plugin) -> None:
        assert plugin.getEnviron([2, 0])["CUDA_VISIBLE_DEVICES"] == "2,0"
        assert plugin.getEnviron([])["CUDA_VISIBLE_DEVICES"] == ""

    def test_own_environment_where_this_python_lacks_torch(
        self, plugin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """The plugin's environment is used, with this package on its path; absent, the user is told how to get it."""
        from continuousflex_deep import _plugin

        monkeypatch.setattr(_plugin, "COMPUTE_MODULES", ("torch_that_nobody_has",))
        monkeypatch.setitem(plugin._vars, "CONTINUOUSFLEX_DEEP_HOME", str(tmp_path))
        python = tmp_path / "env" / "bin" / "python"
        told = " ".join(plugin.validateInstallation())
        assert "torch_that_nobody_has" in told
        assert "scipion3 installb continuousflex_deep" in told
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        assert plugin.getProgram("nma")[0] == str(python)
        assert plugin.getEnviron()["PYTHONPATH"] == str(tmp_path)
        assert plugin.validateInstallation() == []

    def test_installation_needs_what_the_package_says(self, plugin) -> None:
        from continuousflex_deep._plugin import compute_requirements, installation_commands

        names = {requirement.split(">")[0].split("=")[0].strip().lower() for requirement in compute_requirements()}
        assert {"torch", "torchvision", "gemmi", "mrcfile", "numpy"} <= names
        assert not names & {"pytest", "scipion-app", "setuptools<81"}
        commands = installation_commands()
        assert all(target for _, target in commands)
        assert os.fspath(PACKAGE) in commands[1][0]

    def test_citations_can_be_read(self, plugin) -> None:
        from pyworkflow.utils import parseBibTex

        from continuousflex_deep import _references, bibtex, protocols

        known = set(parseBibTex(bibtex.__doc__))
        assert set(_references) <= known
        cited = {key for name in protocols.__all__ for key in getattr(protocols, name)()._citations()}
        assert cited <= known
