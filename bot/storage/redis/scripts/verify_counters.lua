-- Read the counters of a member's day.
-- KEYS[1]  counters of the member's day (hash)   ARGV[1…]  counters
-- returns  their values, nil for those never counted
-- dies here / comes twice: it only reads.
return redis.call('HMGET', KEYS[1], unpack(ARGV))
