"""Which providers speak through PostgreSQL? They may use its driver, which `channels` may not. (decision 0008)"""
