-- Shared by the scripts that call BullMQ's to add jobs. BullMQ writes a job's hash first and its id last. If a failure
-- left the hash behind, the next try would be taken for a repeat; if it left the id, the queue would get it twice.

local function message_of(failure)
  -- Redis 7 raises a table, older servers a string.
  return type(failure) == 'table' and failure.err or tostring(failure)
end

local function take_back(prefix, id)
  redis.call('DEL', prefix .. id)
  for _, list in ipairs({'wait', 'paused'}) do redis.pcall('LREM', prefix .. list, 1, id) end
  for _, set in ipairs({'delayed', 'prioritized'}) do redis.pcall('ZREM', prefix .. set, id) end
end

-- Calls `add`, which returns the id of the job that it added. Returns whether it did, and its reply or its error.
local function add_whole(prefix, id, add, ...)
  local known = redis.call('EXISTS', prefix .. id) == 1
  local done, reply = pcall(add, ...)
  local added = done and reply == id
  if not added and not known then take_back(prefix, id) end
  return added, reply
end
