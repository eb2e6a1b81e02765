-- Adds one job with BullMQ's script, completely or not at all. Called by queue.py with that script's keys and arguments;
-- its negative replies are returned.

--[[add_whole]]

local function add()
--[[script]]
end

local arguments = cmsgpack.unpack(ARGV[1])
local added, reply = add_whole(arguments[1], arguments[2], add)
return (added or type(reply) == 'number') and reply or redis.error_reply(message_of(reply))
