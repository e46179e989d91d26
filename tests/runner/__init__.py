# SPDX-License-Identifier: Apache-2.0
"""`make test`: every check and every test, on every host, and one summary.

``prerequisites`` what the machine lacks, installed (runs before there is a virtual environment)
``parts``         what there is to run, and on which hosts
``process``       one part's process, its record and its log
``tally``         what a record comes to, and what is wrong with it
``verdict``       what all parts come to
``screen``        progress, as lines or on a terminal
``summary``       the table and the last line
"""
