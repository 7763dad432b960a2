"""Prompts: the usual jobs, as the steps that lead to a defensible answer."""

from __future__ import annotations

from mcp.server.mcpserver import MCPServer

from idc_mcp.app import App


def add_prompts(server: MCPServer[App]) -> None:
    """Register every prompt."""

    @server.prompt(
        name="training_set",
        title="Build a training set",
        description="From a wish in words to a cohort, its size, licence, citations and manifest.",
    )
    def training_set(wish: str, use: str = "commercial") -> str:
        return (
            f"Build a training set from the NCI Imaging Data Commons: {wish}. "
            f"It will be put to {use} use.\n"
            "1. idc_search the words of the wish; choose the values that the catalogue knows.\n"
            f"2. idc_cohort with these filters and use='{use}'. Read the near-misses and "
            "warnings; mend the filters and say what you left out.\n"
            "3. idc_size of the handle; if it is too much, narrow it and say how.\n"
            "4. idc_licenses of the handle: name each licence and its obligations.\n"
            "5. idc_viewer for two or three studies, so that a person can look.\n"
            "6. idc_citations of the handle; idc_download with dry_run where it is offered, else "
            "idc_manifest.\n"
            "Report: the release, the definition, patients, studies, series, size, licences, "
            "what was left out and why, the citations, and the download command."
        )

    @server.prompt(
        name="check_licence",
        title="Check a licence",
        description="May this data be used so, and what does it oblige to?",
    )
    def check_licence(cohort: str, use: str = "commercial") -> str:
        return (
            f"May '{cohort}' of the NCI Imaging Data Commons be put to {use} use?\n"
            f"Call idc_licenses(cohort='{cohort}', use='{use}'). Answer yes, no or in part, with "
            "the series and bytes of each licence, its URL and its obligations. If in part, give "
            "the handle of the part that may. Then idc_citations for the attribution."
        )

    @server.prompt(
        name="find_annotations",
        title="Find annotations",
        description="Segmentations, structures, reports and annotations for images.",
    )
    def find_annotations(cohort: str) -> str:
        return (
            f"What annotations exist for '{cohort}' in the NCI Imaging Data Commons?\n"
            f"1. idc_annotations(cohort='{cohort}'): what refers to its images by kind, maker and "
            "analysis result, and what is annotated. Read its warnings.\n"
            "2. Tell the candidates apart: they lie in the same studies, but no column says of "
            "which image they are. For a kind of interest call it again with kinds=….\n"
            "3. idc_licenses of the handle: annotations may have stricter terms than their "
            "images. idc_viewer of the handle for two or three studies.\n"
            "Report: images with and without annotations; kinds, makers, analysis results and "
            "structures with their counts; the handles; known faults; what is not known."
        )

    @server.prompt(
        name="cite_cohort",
        title="Cite a cohort",
        description="Every citation of a cohort, and a sentence for the methods section.",
    )
    def cite_cohort(cohort: str, format: str = "bibtex") -> str:
        return (
            f"Cite '{cohort}' of the NCI Imaging Data Commons.\n"
            f"Call idc_citations(cohort='{cohort}', format='{format}'). Give every citation "
            "unchanged, IDC's own among them, the sentence for the methods section with the "
            "release, and say which come from doi.org and which from the catalogue."
        )
