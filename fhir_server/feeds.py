"""stub until adapters land"""
from contextlib import asynccontextmanager
@asynccontextmanager
async def hl7v2_feed(application, bound, services):
    yield
