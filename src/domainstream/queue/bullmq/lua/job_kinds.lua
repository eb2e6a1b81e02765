-- Shared by the scripts that add batches of jobs: their arguments in turn, and the kinds of jobs among them. A kind is
-- its queue (1, 2, ...), BullMQ's script, the jobs' name, their options. `KEYS` begin with the keys of each queue.

--[[add_whole]]

local call = redis.call
local unpack_options, write_json = cmsgpack.unpack, cjson.encode

-- The options of the job that is being added, as BullMQ stores them. Within a kind of job they differ by the id alone,
-- and by the trace context, which is the same for all jobs of an event; so the rest is encoded once for each kind.
local options_json

-- The member `tm` of these options, by which BullMQ's telemetry continues a trace, behind a comma; or ''.
local trace = ''

-- BullMQ's own scripts from the installed package, turned into functions whose KEYS and ARGV are parameters. What they
-- would unpack is passed unpacked, and what they would encode is encoded already. Each is made when it is first needed.
local adders, make = {}, {}
--[[adders]]

local function adder(script)
  adders[script] = adders[script] or make[script]()
  return adders[script]
end

local at = 0

local function next_argument()
  at = at + 1
  return ARGV[at]
end

-- wait, paused, meta, id, completed, delayed, active, events, marker, prioritized, pc: in the order each script wants.
local positions = {
  addStandardJob = {1, 2, 3, 4, 5, 6, 7, 8, 9},
  addDelayedJob = {9, 3, 4, 6, 5, 8},
  addPrioritizedJob = {9, 3, 4, 10, 6, 5, 7, 8, 11},
}

local function keys_for(script, first)
  local keys = {}
  for _, position in ipairs(positions[script]) do keys[#keys + 1] = KEYS[first + position] end
  return keys
end

-- Of the `keys_of_queue` keys of its queue, the first ones are BullMQ's. Jobs are stamped with `now`.
local function next_kind(keys_of_queue, now)
  local queue, script = tonumber(next_argument()), next_argument()
  local first = (queue - 1) * keys_of_queue
  local name, options = next_argument(), unpack_options(next_argument())
  local prefix = string.sub(KEYS[first + 4], 1, -3)
  local head = string.sub(write_json(options), 1, -2) .. ',"jobId":'
  local arguments = {prefix, '', name, now}
  return {
    queue = queue, add = adder(script), keys = keys_for(script, first), prefix = prefix, options = options, head = head,
    arguments = arguments, first_key = first,
  }
end

-- Errors that keep the server from writing anything are not the job's fault. They are passed on unchanged, so that the
-- caller retries the batch for as long as it takes instead of making it a dead letter. The table is that of
-- domainstream.redis.errors.
local SERVER_CODES = {--[[server_codes]]}

-- Returns whether the queue has the job now, and if not, BullMQ's reason.
local function add_job(kind, id, data)
  kind.arguments[2] = id
  options_json = kind.head .. write_json(id) .. trace .. '}'
  local added, reply = add_whole(kind.prefix, id, kind.add, kind.keys, {kind.arguments, data, kind.options})
  if added then return true end
  local message = message_of(reply)
  if SERVER_CODES[string.match(message, '^%u+')] then error(message, 0) end
  return false, message
end
