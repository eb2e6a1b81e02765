-- Adds one job with BullMQ's script, wholly or not at all. Called by bullmq_queue.py with what that script takes; its
-- negative replies are passed on.

--[[add_whole]]

local function add()
--[[script]]
end

local arguments = cmsgpack.unpack(ARGV[1])
local added, reply = add_whole(arguments[1], arguments[2], add)
return (added or type(reply) == 'number') and reply or redis.error_reply(message_of(reply))
