import asyncio


class WakeUps:
    def __init__(self, url, keys):
        self.keys = set(keys.values())

    async def run(self):
        await asyncio.sleep(1e9)

    async def wait(self, seconds):
        await asyncio.sleep(0.01)
        return self.keys
