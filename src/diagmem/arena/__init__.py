"""Where blocks lie in the arena: the problem, planners, and a verifier apart from them."""

from diagmem.arena.blocking import Crowded, blocking
from diagmem.arena.bound import largest_live_sum, lower_bound
from diagmem.arena.planners import PLANNERS
from diagmem.arena.problem import Block, Options, Permission, Plan, Problem, Role, Step
from diagmem.arena.together import Planner
from diagmem.arena.verifier import Claim, verify, verify_plan

__all__ = [
    "PLANNERS",
    "Block",
    "Claim",
    "Crowded",
    "Options",
    "Permission",
    "Plan",
    "Planner",
    "Problem",
    "Role",
    "Step",
    "blocking",
    "largest_live_sum",
    "lower_bound",
    "verify",
    "verify_plan",
]
