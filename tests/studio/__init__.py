"""Tests of the studio. A package, so that the process of a training finds its `learners`."""
