-- Returns which of some jobs a queue has. It only reads.
--
-- KEYS[1]  what the keys of the queue begin with
-- ARGV     the ids of the jobs
--
-- Returns their positions in ARGV.

local found = {}
for position, id in ipairs(ARGV) do
  if redis.call('EXISTS', KEYS[1] .. id) == 1 then found[#found + 1] = position end
end
return found
