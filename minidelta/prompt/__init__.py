"""Prompt-learning: put a task into words, so that it asks for what pre-training has taught.

    p(y | x) = softmax over y of s(words of y at [MASK] of T(x))        Schick and Schuetze 2020 (PET)

    template     T: text with gaps, parsed; one template for all three families of models
    render       template and example -> token ids, masks, soft tokens; what is cut where the text is too long
    explain      what a model reads of an example, and what is probably wrong with a template
"""

from minidelta.prompt.explain import explain, lint
from minidelta.prompt.render import Renderer
from minidelta.prompt.template import Template, choose_template, load_templates

__all__ = ["Renderer", "Template", "choose_template", "explain", "lint", "load_templates"]
